package wechatpay

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/bounded"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/decimal"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/number"
)

// maxLineBytes bounds a row of a bill.
const maxLineBytes = 16 << 10

// Statement is the trade bill of a day in China's time zone, which WeChat Pay makes at ten the next
// morning. A refund is in the bill of the day that it was asked for, when its money left the
// merchant's account, also if the buyer's bank takes longer.
func (p *Provider) Statement(ctx context.Context, day time.Time, each func(payment.StatementRow) error) error {
	var bill struct {
		HashType    string `json:"hash_type"`
		HashValue   string `json:"hash_value"`
		DownloadURL string `json:"download_url"`
	}
	query := url.Values{"bill_date": {day.In(china).Format(time.DateOnly)}, "bill_type": {"ALL"}}
	err := p.call(ctx, http.MethodGet, "/v3/bill/tradebill?"+query.Encode(), nil, &bill)
	switch {
	case is(err, "NO_STATEMENT_EXIST"):
		// There was no trade.
		return nil
	case is(err, "STATEMENT_CREATING"):
		return fmt.Errorf("wechatpay: asking for the trade bill: %w", payment.ErrStatementNotReady)
	case err != nil:
		return outcome("asking for the trade bill", err)
	}
	raw, err := p.download(ctx, bill.DownloadURL)
	if err != nil {
		return fmt.Errorf("wechatpay: downloading the trade bill: %w", err)
	}
	sum := sha1.Sum(raw)
	if bill.HashType != "SHA1" || !strings.EqualFold(bill.HashValue, hex.EncodeToString(sum[:])) {
		return errors.New("wechatpay: the trade bill is not the one whose hash was announced")
	}
	if err := parseBill(raw, each); err != nil {
		return fmt.Errorf("wechatpay: reading the trade bill: %w", err)
	}
	return nil
}

// download gets a file. The answer is not signed, but the request is: it must go nowhere but to
// WeChat Pay.
func (p *Provider) download(ctx context.Context, target string) ([]byte, error) {
	u, err := url.Parse(target)
	base, baseErr := url.Parse(p.baseURL)
	if err != nil || baseErr != nil || u.Host != base.Host || u.Scheme != base.Scheme {
		return nil, errors.New("the file is not at the API's host")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", userAgent)
	if err := p.authorize(req, nil); err != nil {
		return nil, err
	}
	response, err := bounded.Do(p.client, req, bounded.BillTimeout, bounded.MaxBill)
	if err != nil {
		return nil, err
	}
	if response.Status != http.StatusOK {
		return nil, problemOf(response)
	}
	return response.Body, nil
}

// The columns that are read, by name: their order is not fixed.
const (
	columnTime        = "交易时间"
	columnTransaction = "微信订单号"
	columnNumber      = "商户订单号"
	columnState       = "交易状态"
	columnCurrency    = "货币种类"
	columnTotal       = "订单金额"
	columnRefundID    = "微信退款单号"
	columnRefund      = "商户退款单号"
	columnRefunded    = "申请退款金额"
	columnRefundState = "退款状态"
	// firstOfSummary is the first column of the second table.
	firstOfSummary = "总交易单数"
)

// parseBill reads a bill of the type ALL: a heading, rows whose fields begin with a backtick each,
// and a summary.
func parseBill(raw []byte, each func(payment.StatementRow) error) error {
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(raw, []byte("\ufeff"))))
	lines.Buffer(nil, maxLineBytes)
	var columns map[string]int
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSuffix(lines.Text(), "\r")
		switch {
		case line == "":
		case columns == nil:
			columns = map[string]int{}
			for i, name := range strings.Split(line, ",") {
				columns[strings.Trim(name, "` ")] = i
			}
		case strings.HasPrefix(strings.TrimPrefix(line, "`"), firstOfSummary):
			return nil
		default:
			row, err := parseRow(columns, line)
			if err == nil && row != nil {
				err = each(*row)
			}
			if err != nil {
				return fmt.Errorf("line %d: %w", n, err)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	// The summary is the bill's end: without it some rows may be missing.
	return errors.New("the summary is missing")
}

// parseRow reads a row; nil for a refund that failed.
func parseRow(columns map[string]int, line string) (*payment.StatementRow, error) {
	fields := strings.Split(strings.TrimPrefix(line, "`"), ",`")
	field := func(name string) string {
		i, ok := columns[name]
		if !ok || i >= len(fields) {
			return ""
		}
		return strings.TrimSpace(fields[i])
	}
	at, err := time.ParseInLocation(time.DateTime, field(columnTime), china)
	if err != nil {
		return nil, errors.New("the time cannot be read")
	}
	row := &payment.StatementRow{
		Kind: payment.KindPayment, TransactionID: field(columnTransaction), Currency: field(columnCurrency), At: at,
		PaymentID: ours(field(columnNumber)),
	}
	money := field(columnTotal)
	switch field(columnState) {
	case "SUCCESS":
	case "REFUND":
		if field(columnRefundState) == "FAIL" {
			return nil, nil
		}
		row.Kind, row.TransactionID, row.RefundID = payment.KindRefund, field(columnRefundID), ours(field(columnRefund))
		money = field(columnRefunded)
	default:
		return nil, nil
	}
	if row.Amount, err = decimal.Parse(money); err != nil {
		return nil, err
	}
	return row, nil
}

// ours is the id that a number stands for; none if somebody else made it.
func ours(text string) uuid.UUID {
	id, err := number.Parse(text)
	if err != nil {
		return uuid.Nil
	}
	return id
}

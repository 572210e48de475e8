package alipay

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/bounded"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/decimal"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/number"
)

// maxFiles of a bill's archive, which has two.
const maxFiles = 8

// Statement is the trade bill of a day in China's time zone, which Alipay makes the next morning.
func (p *Provider) Statement(ctx context.Context, day time.Time, each func(payment.StatementRow) error) error {
	var out struct {
		URL string `json:"bill_download_url"`
	}
	biz := map[string]string{"bill_type": "trade", "bill_date": day.In(china).Format(time.DateOnly)}
	err := p.call(ctx, "alipay.data.dataservice.bill.downloadurl.query", biz, &out, nil)
	switch {
	case is(err, "isp.bill_not_exist", "BILL_NOT_EXIST"):
		// There was no trade.
		return nil
	case err != nil:
		return outcome("asking for the trade bill", err)
	}
	archive, err := p.download(ctx, out.URL)
	if err != nil {
		return fmt.Errorf("alipay: downloading the trade bill: %w", err)
	}
	if err := readArchive(archive, each); err != nil {
		return fmt.Errorf("alipay: reading the trade bill: %w", err)
	}
	return nil
}

// download gets the file. Its URL was signed by Alipay, which still writes http: nothing but TLS
// protects the file itself.
func (p *Provider) download(ctx context.Context, target string) ([]byte, error) {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" {
		return nil, errors.New("the URL cannot be read")
	}
	if strings.HasPrefix(p.gateway, "https:") {
		u.Scheme = "https"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	response, err := bounded.Do(p.client, req, bounded.BillTimeout, bounded.MaxBill)
	if err != nil {
		return nil, err
	}
	if response.Status != http.StatusOK {
		return nil, fmt.Errorf("answered %d", response.Status)
	}
	return response.Body, nil
}

// readArchive reads the rows' file of the archive: the one that is no summary. Names and contents
// are in GBK.
func readArchive(archive []byte, each func(payment.StatementRow) error) error {
	files, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return err
	}
	if len(files.File) > maxFiles {
		return errors.New("too many files")
	}
	for _, f := range files.File {
		name := f.Name
		if f.NonUTF8 {
			if decoded, err := simplifiedchinese.GBK.NewDecoder().String(name); err == nil {
				name = decoded
			}
		}
		if !strings.HasSuffix(name, ".csv") || strings.Contains(name, "汇总") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return err
		}
		return errors.Join(parseBill(io.LimitReader(r, bounded.MaxBill), each), r.Close())
	}
	return errors.New("there is no file with the rows")
}

// The columns that are read, by name; amounts have （元） behind.
const (
	columnTradeNo = "支付宝交易号"
	columnNumber  = "商户订单号"
	columnKind    = "业务类型"
	columnDone    = "完成时间"
	columnAmount  = "订单金额"
	columnRequest = "退款批次号/请求号"

	kindTrade  = "交易"
	kindRefund = "退款"
	// endOfRows is in the line behind the last row.
	endOfRows = "业务明细列表结束"
)

// parseBill reads a bill: lines that begin with # around a heading and the rows.
func parseBill(raw io.Reader, each func(payment.StatementRow) error) error {
	r := csv.NewReader(simplifiedchinese.GBK.NewDecoder().Reader(raw))
	r.FieldsPerRecord, r.LazyQuotes, r.ReuseRecord = -1, true, true
	var columns map[string]int
	for {
		record, err := r.Read()
		switch {
		case errors.Is(err, io.EOF):
			// The line behind the rows is the bill's end: without it some may be missing.
			return errors.New("the end is missing")
		case err != nil:
			return err
		case strings.HasPrefix(record[0], "#"):
			if strings.Contains(record[0], endOfRows) {
				return nil
			}
		case columns == nil:
			columns = map[string]int{}
			for i, name := range record {
				columns[strings.TrimSpace(strings.TrimSuffix(name, "（元）"))] = i
			}
		default:
			row, err := parseRow(columns, record)
			if err == nil && row != nil {
				err = each(*row)
			}
			if err != nil {
				line, _ := r.FieldPos(0)
				return fmt.Errorf("line %d: %w", line, err)
			}
		}
	}
}

// parseRow reads a row. One that is neither a trade nor a refund is none.
func parseRow(columns map[string]int, record []string) (*payment.StatementRow, error) {
	field := func(name string) string {
		i, ok := columns[name]
		if !ok || i >= len(record) {
			return ""
		}
		return strings.TrimSpace(record[i])
	}
	kind := field(columnKind)
	if kind != kindTrade && kind != kindRefund {
		return nil, nil
	}
	at, ok := chinaTime(field(columnDone))
	if !ok {
		return nil, errors.New("the time cannot be read")
	}
	minor, err := decimal.Parse(field(columnAmount))
	if err != nil {
		return nil, err
	}
	row := &payment.StatementRow{
		Kind: payment.KindPayment, TransactionID: field(columnTradeNo), PaymentID: ours(field(columnNumber)),
		Amount: minor, Currency: currency, At: at,
	}
	if kind == kindRefund {
		// A refund's amount is negative, and the id that a refund has here is its number.
		row.Kind, row.Amount = payment.KindRefund, -minor
		row.TransactionID, row.RefundID = field(columnRequest), ours(field(columnRequest))
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

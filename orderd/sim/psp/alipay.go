package psp

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// businessFailed is the code of a call that was understood and refused; sub_code says why.
const businessFailed = "40004"

// alipayContent is the biz_content of every call that is served.
type alipayContent struct {
	Number   string `json:"out_trade_no"`
	TradeNo  string `json:"trade_no"`
	Amount   string `json:"total_amount"`
	Subject  string `json:"subject"`
	Product  string `json:"product_code"`
	Expires  string `json:"time_expire"`
	Refund   string `json:"out_request_no"`
	Refunded string `json:"refund_amount"`
	Reason   string `json:"refund_reason"`
	BillType string `json:"bill_type"`
	BillDate string `json:"bill_date"`
}

func (s *Server) routeAlipay() {
	s.mux.HandleFunc("POST /gateway.do", s.alipayGateway)
	s.mux.HandleFunc("GET /gateway.do", s.alipayPage)
	// An app hands the order string to Alipay's SDK, which sends it.
	s.mux.HandleFunc("POST /alipay/app", s.alipayPage)
	s.mux.HandleFunc("GET /alipay/bill", s.alipayDownload)
}

// signed is the text that is signed: what is not empty, sorted, without what the call leaves out.
func signed(values url.Values, without ...string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if value := values.Get(name); value != "" && !slices.Contains(without, name) {
			parts = append(parts, name+"="+value)
		}
	}
	return strings.Join(parts, "&")
}

// alipayRequest checks a request's parameters and signature.
func (s *Server) alipayRequest(values url.Values) (alipayContent, string) {
	var content alipayContent
	stamp, err := time.ParseInLocation(billTime, values.Get("timestamp"), shanghai)
	age := s.now().Sub(stamp)
	switch {
	case values.Get("app_id") != s.keys.AlipayAppID:
		return content, "isv.invalid-app-id"
	case values.Get("sign_type") != "RSA2" || !strings.EqualFold(values.Get("charset"), "utf-8") ||
		values.Get("version") != "1.0" || !strings.EqualFold(values.Get("format"), "json"):
		return content, "isv.invalid-parameter"
	case err != nil || age > clockSkew*3 || age < -clockSkew*3:
		return content, "isv.invalid-timestamp"
	case !checkSHA256(&s.keys.App.PublicKey, signed(values, "sign"), values.Get("sign")):
		return content, "isv.invalid-signature"
	case json.Unmarshal([]byte(values.Get("biz_content")), &content) != nil:
		return content, "isv.invalid-parameter"
	}
	return content, ""
}

// alipayOpen makes the trade that a signed order describes.
func (s *Server) alipayOpen(values url.Values, c alipayContent) (*payment, string) {
	amount, ok := minor(c.Amount)
	expires, err := time.ParseInLocation(billTime, c.Expires, shanghai)
	if !ok || amount <= 0 || c.Number == "" || len(c.Number) > 64 || c.Subject == "" ||
		strings.ContainsAny(c.Subject, "/=&") || (c.Expires != "" && err != nil) {
		return nil, "ACQ.INVALID_PARAMETER"
	}
	p := s.find(Alipay, c.Number)
	switch {
	case p == nil:
		p = &payment{
			provider: Alipay, number: c.Number, method: values.Get("method"), amount: amount, currency: "CNY",
			description: c.Subject,
			notifyURL:   values.Get("notify_url"), state: open, expiresAt: expires, session: random(8),
		}
		s.add(p)
	case p.amount != amount:
		return nil, "ACQ.CONTEXT_INCONSISTENT"
	case p.state == succeeded:
		return nil, "ACQ.TRADE_HAS_SUCCESS"
	case p.state != open:
		return nil, "ACQ.TRADE_HAS_CLOSE"
	}
	return p, ""
}

// alipayPage is the page that a buyer is sent to; opening it makes the trade.
func (s *Server) alipayPage(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c, why := s.alipayRequest(r.Form)
	product := map[string]string{
		"alipay.trade.page.pay": "FAST_INSTANT_TRADE_PAY", "alipay.trade.wap.pay": "QUICK_WAP_WAY",
		"alipay.trade.app.pay": "QUICK_MSECURITY_PAY",
	}[r.Form.Get("method")]
	if why == "" && (product == "" || c.Product != product) {
		why = "ACQ.INVALID_PARAMETER"
	}
	if why != "" {
		http.Error(w, why, http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	p, why := s.alipayOpen(r.Form, c)
	s.mu.Unlock()
	if why != "" {
		http.Error(w, why, http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	page := "/pay/alipay/" + url.PathEscape(p.number)
	_, _ = io.WriteString(w, `<form method="post" action="`+page+`"><button>Pay `+yuan(p.amount)+`</button></form>`)
}

// alipayGateway answers the calls of a merchant's server.
func (s *Server) alipayGateway(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	method := r.Form.Get("method")
	c, why := s.alipayRequest(r.Form)
	if why != "" {
		// Alipay does not sign what it cannot attribute.
		_, _ = w.Write(encode(map[string]any{
			"error_response": map[string]string{"code": "40002", "msg": "Invalid Arguments", "sub_code": why, "sub_msg": why},
		}))
		return
	}
	operation := map[string]string{
		"alipay.trade.precreate": "create", "alipay.trade.query": "query", "alipay.trade.close": "close",
		"alipay.trade.refund":               "refund",
		"alipay.trade.fastpay.refund.query": "query_refund", "alipay.data.dataservice.bill.downloadurl.query": "statement",
	}[method]
	s.mu.Lock()
	fault, struck := s.strike(Alipay, operation, Timeout, Unavailable, ForgedAnswer)
	answer := map[string]any{"code": "20000", "msg": "Service Currently Unavailable", "sub_code": "isp.unknow-error"}
	if !struck || fault != Unavailable {
		answer = s.alipayCall(r, operation, c)
	}
	s.mu.Unlock()
	if struck && fault == Timeout {
		breakConnection(w)
	}
	key := s.keys.AlipayKey
	if struck && fault == ForgedAnswer {
		key = s.keys.Forger
	}
	// Alipay escapes slashes, which a parser that writes the node anew would not.
	node := strings.ReplaceAll(string(encode(answer)), "/", `\/`)
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	response := strings.ReplaceAll(method, ".", "_") + "_response"
	_, _ = io.WriteString(w, `{"`+response+`":`+node+`,"sign":"`+signSHA256(key, node)+`"}`)
}

func fine(more map[string]any) map[string]any {
	more["code"], more["msg"] = "10000", "Success"
	return more
}

func refused(subCode string) map[string]any {
	return map[string]any{"code": businessFailed, "msg": "Business Failed", "sub_code": subCode, "sub_msg": subCode}
}

// alipayCall does one call. The caller holds the lock.
func (s *Server) alipayCall(r *http.Request, operation string, c alipayContent) map[string]any {
	p := s.find(Alipay, c.Number)
	if p == nil && c.TradeNo != "" {
		if i := slices.IndexFunc(s.payments, func(p *payment) bool { return p.transaction == c.TradeNo }); i >= 0 {
			p = s.payments[i]
		}
	}
	switch {
	case operation == "create":
		made, why := s.alipayOpen(r.Form, c)
		if why != "" {
			return refused(why)
		}
		return fine(map[string]any{"out_trade_no": made.number, "qr_code": "https://qr.alipay.com/" + made.session})
	case operation == "statement":
		return s.alipayBill(r, c)
	case operation == "":
		return map[string]any{"code": "40002", "msg": "Invalid Arguments", "sub_code": "isv.invalid-method"}
	case p == nil:
		return refused("ACQ.TRADE_NOT_EXIST")
	case operation == "query":
		return fine(alipayTrade(p))
	case operation == "close":
		if p.state == succeeded {
			return refused("ACQ.TRADE_STATUS_ERROR")
		}
		p.state = closed
		return fine(map[string]any{"out_trade_no": p.number})
	case operation == "refund":
		return s.alipayRefundCall(p, c)
	}
	return s.alipayQueryRefund(p, c)
}

func alipayTradeNo(p *payment) string {
	if p.transaction != "" {
		return p.transaction
	}
	return "2026" + p.session
}

func alipayStatus(p *payment) string {
	switch {
	case p.state == open:
		return "WAIT_BUYER_PAY"
	case p.state == succeeded && p.refunded() < p.amount:
		return "TRADE_SUCCESS"
	}
	// A trade that was closed unpaid, and one that was paid back in full.
	return "TRADE_CLOSED"
}

func alipayTrade(p *payment) map[string]any {
	out := map[string]any{
		"out_trade_no": p.number, "trade_no": alipayTradeNo(p), "trade_status": alipayStatus(p),
		"total_amount":   yuan(p.amount),
		"buyer_logon_id": "138****0000", "buyer_user_id": "2088000000000009",
	}
	if p.state == succeeded {
		out["send_pay_date"] = p.paidAt.In(shanghai).Format(billTime)
	}
	return out
}

func (s *Server) alipayRefundCall(p *payment, c alipayContent) map[string]any {
	amount, ok := minor(c.Refunded)
	answer := func(f *refund, change string) map[string]any {
		return fine(map[string]any{
			"trade_no": p.transaction, "out_trade_no": p.number, "buyer_logon_id": "138****0000", "fund_change": change,
			"refund_fee":     yuan(p.refunded()),
			"gmt_refund_pay": f.at.In(shanghai).Format(billTime),
		})
	}
	switch f := s.findRefund(Alipay, c.Refund); {
	case !ok || amount <= 0 || c.Refund == "":
		return refused("ACQ.INVALID_PARAMETER")
	case p.state != succeeded:
		return refused("ACQ.TRADE_STATUS_ERROR")
	case f != nil && (f.payment != p || f.amount != amount):
		return refused("ACQ.DISCORDANT_REPEAT_REQUEST")
	case f != nil:
		return answer(f, "N")
	case s.strikes(Alipay, "refund", RefundRefused):
		return refused("ACQ.SELLER_BALANCE_NOT_ENOUGH")
	case p.refunded()+amount > p.amount:
		return refused("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL")
	}
	f := &refund{
		payment: p, number: c.Refund, id: s.id("r"), amount: amount, state: succeeded, reason: c.Reason, askedAt: s.now(),
		at: s.now(),
	}
	p.refunds = append(p.refunds, f)
	s.notifyRefund(f)
	return answer(f, "Y")
}

func (s *Server) alipayQueryRefund(p *payment, c alipayContent) map[string]any {
	f := s.findRefund(Alipay, c.Refund)
	if f == nil || f.payment != p {
		// A refund that Alipay does not know is a success without content.
		return fine(map[string]any{})
	}
	return fine(map[string]any{
		"trade_no": p.transaction, "out_trade_no": p.number, "out_request_no": f.number, "refund_status": "REFUND_SUCCESS",
		"refund_amount": yuan(f.amount), "total_amount": yuan(p.amount), "gmt_refund_pay": f.at.In(shanghai).Format(billTime),
	})
}

func (s *Server) alipayBill(r *http.Request, c alipayContent) map[string]any {
	day, err := time.ParseInLocation(time.DateOnly, c.BillDate, shanghai)
	if err != nil || c.BillType != "trade" {
		return map[string]any{"code": "40002", "msg": "Invalid Arguments", "sub_code": "isv.invalid-arguments"}
	}
	bill, rows, err := s.alipayBillOf(day)
	switch {
	case err != nil:
		return map[string]any{"code": "20000", "msg": err.Error(), "sub_code": "isp.unknow-error"}
	case rows == 0:
		return refused("isp.bill_not_exist")
	}
	token := random(16)
	s.bills[token] = bill
	return fine(map[string]any{"bill_download_url": s.base(r) + "/alipay/bill?bizType=trade&token=" + token})
}

func (s *Server) alipayDownload(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	bill, ok := s.bills[r.URL.Query().Get("token")]
	s.mu.Unlock()
	if !ok {
		http.Error(w, "no such file", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/zip")
	_, _ = w.Write(bill)
}

// alipayNotification signs a form: all but sign and sign_type.
func (s *Server) alipayNotification(p *payment, l lie, more map[string]string) func() message {
	values := url.Values{}
	for name, value := range map[string]string{
		"notify_type": "trade_status_sync", "notify_id": random(17), "app_id": s.keys.AlipayAppID,
		"auth_app_id": s.keys.AlipayAppID, "charset": "utf-8", "version": "1.0",
		"trade_no": p.transaction, "out_trade_no": p.number, "trade_status": alipayStatus(p),
		"total_amount": yuan(p.amount), "receipt_amount": yuan(p.amount),
		"seller_id": s.keys.SellerID, "subject": p.description, "buyer_id": "2088000000000009",
		"buyer_logon_id": "138****0000",
		"gmt_create":     p.createdAt.In(shanghai).Format(billTime), "gmt_payment": p.paidAt.In(shanghai).Format(billTime),
		"fund_bill_list": `[{"amount":"` + yuan(p.amount) + `","fundChannel":"ALIPAYACCOUNT"}]`, "body": "",
	} {
		values.Set(name, value)
	}
	if l.amount {
		values.Set("total_amount", yuan(p.amount-1))
	}
	if l.currency {
		values.Set("trans_currency", "USD")
	}
	if l.merchant {
		values.Set("seller_id", "2088000000000002")
	}
	for name, value := range more {
		values.Set(name, value)
	}
	key := s.keys.AlipayKey
	if l.forged {
		key = s.keys.Forger
	}
	return func() message {
		values := maps.Clone(values)
		values.Set("notify_time", s.now().In(shanghai).Format(billTime))
		values.Set("sign", signSHA256(key, signed(values)))
		values.Set("sign_type", "RSA2")
		return message{contentType: "application/x-www-form-urlencoded; charset=utf-8", body: []byte(values.Encode())}
	}
}

func (s *Server) alipayPayment(p *payment) func(lie) func() message {
	return func(l lie) func() message { return s.alipayNotification(p, l, nil) }
}

func (s *Server) alipayRefund(f *refund) func(lie) func() message {
	return func(l lie) func() message {
		// refund_fee is the sum of all refunds so far, not this one's.
		return s.alipayNotification(f.payment, l, map[string]string{
			"refund_fee": yuan(f.payment.refunded()), "gmt_refund": f.at.In(shanghai).Format(billTime + ".000"),
			"out_biz_no": f.number,
		})
	}
}

// takenByAlipay: the seven characters success.
func takenByAlipay(_ int, body []byte) bool { return string(body) == "success" }

// minor reads yuan with up to two decimals.
func minor(text string) (int64, bool) {
	whole, fraction, _ := strings.Cut(text, ".")
	if len(fraction) > 2 || whole == "" {
		return 0, false
	}
	n, err := strconv.ParseInt(whole+(fraction + "00")[:2], 10, 64)
	return n, err == nil
}

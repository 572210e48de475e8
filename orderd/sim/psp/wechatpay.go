package psp

import (
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// problem is WeChat Pay's refusal of a call.
type problem struct {
	status        int
	code, message string
}

var weChatPayNumber = regexp.MustCompile(`^[0-9A-Za-z_\-|*]{6,32}$`)

// weChatPayCall does one call and returns its answer; no value is 204.
type weChatPayCall func(r *http.Request, body []byte) (any, *problem)

func (s *Server) routeWeChatPay() {
	handle := func(pattern, operation string, call weChatPayCall) {
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.callWeChatPay(w, r, operation, call) })
	}
	handle("GET /v3/certificates", "certificates",
		func(*http.Request, []byte) (any, *problem) { return s.certificates(), nil })
	handle("POST /v3/pay/transactions/{method}", "create", s.weChatPayCreate)
	handle("GET /v3/pay/transactions/out-trade-no/{number}", "query", s.weChatPayQuery)
	handle("POST /v3/pay/transactions/out-trade-no/{number}/close", "close", s.weChatPayClose)
	handle("POST /v3/refund/domestic/refunds", "refund", s.weChatPayRefundCall)
	handle("GET /v3/refund/domestic/refunds/{number}", "query_refund", s.weChatPayQueryRefund)
	handle("GET /v3/bill/tradebill", "statement", s.weChatPayBill)
	s.mux.HandleFunc("GET /v3/billdownload/file", s.weChatPayDownload)
}

func (s *Server) callWeChatPay(w http.ResponseWriter, r *http.Request, operation string, call weChatPayCall) {
	body, why := s.authentic(r)
	if why != "" {
		// What is not authenticated is answered without a signature.
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write(encode(map[string]string{"code": "SIGN_ERROR", "message": why}))
		return
	}
	s.mu.Lock()
	fault, struck := s.strike(WeChatPay, operation, Timeout, Unavailable, ForgedAnswer)
	s.mu.Unlock()
	if struck && fault == Unavailable {
		s.answerWeChatPay(w, r, http.StatusInternalServerError,
			map[string]string{"code": "SYSTEM_ERROR", "message": "try again"}, false)
		return
	}
	answer, refused := call(r, body)
	if struck && fault == Timeout {
		breakConnection(w)
	}
	switch {
	case refused != nil:
		s.answerWeChatPay(w, r, refused.status, map[string]string{"code": refused.code, "message": refused.message}, struck)
	case answer == nil:
		s.answerWeChatPay(w, r, http.StatusNoContent, nil, struck)
	default:
		s.answerWeChatPay(w, r, http.StatusOK, answer, struck)
	}
}

// weChatPayAmount of a payment or a refund.
type weChatPayAmount struct {
	Total    int64  `json:"total"`
	Refund   int64  `json:"refund"`
	Currency string `json:"currency"`
}

func (s *Server) weChatPayCreate(r *http.Request, body []byte) (any, *problem) {
	var in struct {
		AppID       string          `json:"appid"`
		MerchantID  string          `json:"mchid"`
		Description string          `json:"description"`
		Number      string          `json:"out_trade_no"`
		Expires     string          `json:"time_expire"`
		NotifyURL   string          `json:"notify_url"`
		Amount      weChatPayAmount `json:"amount"`
		Payer       struct {
			OpenID string `json:"openid"`
		} `json:"payer"`
		Scene struct {
			IP string `json:"payer_client_ip"`
			H5 struct {
				Type string `json:"type"`
			} `json:"h5_info"`
		} `json:"scene_info"`
	}
	method := r.PathValue("method")
	if json.Unmarshal(body, &in) != nil {
		return nil, &problem{http.StatusBadRequest, "PARAM_ERROR", "the body is no JSON"}
	}
	expires, err := time.Parse(time.RFC3339, in.Expires)
	target, urlErr := url.Parse(in.NotifyURL)
	switch {
	case in.AppID != s.keys.AppID || in.MerchantID != s.keys.MerchantID:
		return nil, &problem{http.StatusBadRequest, "APPID_MCHID_NOT_MATCH", "appid and mchid do not match"}
	case !weChatPayNumber.MatchString(in.Number), in.Amount.Total <= 0, in.Amount.Currency != "CNY",
		in.Description == "", len([]rune(in.Description)) > 127,
		in.Expires != "" && err != nil, urlErr != nil, target.Host == "", target.RawQuery != "":
		return nil, &problem{http.StatusBadRequest, "PARAM_ERROR", "a field is missing or wrong"}
	case method == "jsapi" && in.Payer.OpenID == "", method == "h5" && (in.Scene.IP == "" || in.Scene.H5.Type == ""):
		return nil, &problem{http.StatusBadRequest, "PARAM_ERROR", "a field that the method needs is missing"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.find(WeChatPay, in.Number)
	switch {
	case p == nil:
		p = &payment{
			provider: WeChatPay, number: in.Number, method: method, amount: in.Amount.Total, currency: in.Amount.Currency,
			description: in.Description,
			notifyURL:   in.NotifyURL, payer: in.Payer.OpenID, state: open, expiresAt: expires, session: random(16),
		}
		s.add(p)
	case p.amount != in.Amount.Total || p.notifyURL != in.NotifyURL || p.method != method:
		return nil, &problem{http.StatusForbidden, "OUT_TRADE_NO_USED", "the order number was used with other parameters"}
	case p.state == succeeded:
		return nil, &problem{http.StatusBadRequest, "ORDERPAID", "the order is paid"}
	case p.state != open:
		return nil, &problem{http.StatusBadRequest, "ORDER_CLOSED", "the order is closed"}
	}
	switch method {
	case "jsapi":
		return map[string]string{"prepay_id": "wx" + p.session}, nil
	case "native":
		return map[string]string{"code_url": "weixin://wxpay/bizpayurl?pr=" + p.session}, nil
	case "h5":
		return map[string]string{"h5_url": s.base(r) + "/pay/" + WeChatPay + "/" + p.number}, nil
	}
	return nil, &problem{http.StatusNotFound, "RESOURCE_NOT_EXISTS", "no such method"}
}

// weChatPayTrade is a payment as a query and a notification tell it.
func (s *Server) weChatPayTrade(p *payment, l lie) map[string]any {
	states := map[state]string{open: "NOTPAY", succeeded: "SUCCESS", closed: "CLOSED", failed: "PAYERROR"}
	tradeState := states[p.state]
	if p.state == succeeded && len(p.refunds) > 0 {
		tradeState = "REFUND"
	}
	out := map[string]any{
		"appid": s.keys.AppID, "mchid": s.keys.MerchantID, "out_trade_no": p.number, "trade_state": tradeState,
		"trade_state_desc": tradeState,
	}
	amount := map[string]any{"total": p.amount, "currency": p.currency}
	if l.amount {
		amount["total"] = p.amount - 1
	}
	if l.currency {
		amount["currency"] = "USD"
	}
	if l.merchant {
		out["mchid"] = "1900000002"
	}
	if p.state == succeeded {
		amount["payer_total"], amount["payer_currency"] = amount["total"], amount["currency"]
		out["transaction_id"], out["success_time"] = p.transaction, chinaTime(p.paidAt)
		out["trade_type"], out["bank_type"] = map[string]string{"jsapi": "JSAPI", "native": "NATIVE",
			"h5": "MWEB"}[p.method], "OTHERS"
		out["payer"] = map[string]string{"openid": p.payer}
	}
	out["amount"] = amount
	return out
}

func (s *Server) weChatPayQuery(r *http.Request, _ []byte) (any, *problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.find(WeChatPay, r.PathValue("number"))
	if p == nil || r.URL.Query().Get("mchid") != s.keys.MerchantID {
		return nil, &problem{http.StatusNotFound, "ORDER_NOT_EXIST", "no such order"}
	}
	return s.weChatPayTrade(p, lie{}), nil
}

func (s *Server) weChatPayClose(r *http.Request, body []byte) (any, *problem) {
	var in struct {
		MerchantID string `json:"mchid"`
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.find(WeChatPay, r.PathValue("number"))
	switch {
	case json.Unmarshal(body, &in) != nil || in.MerchantID != s.keys.MerchantID:
		return nil, &problem{http.StatusBadRequest, "PARAM_ERROR", "mchid is missing"}
	case p == nil:
		return nil, &problem{http.StatusNotFound, "ORDER_NOT_EXIST", "no such order"}
	case p.state == succeeded:
		return nil, &problem{http.StatusBadRequest, "ORDERPAID", "the order is paid"}
	}
	p.state = closed
	return nil, nil
}

func (s *Server) weChatPayRefundCall(_ *http.Request, body []byte) (any, *problem) {
	var in struct {
		Transaction string          `json:"transaction_id"`
		Number      string          `json:"out_trade_no"`
		Refund      string          `json:"out_refund_no"`
		Reason      string          `json:"reason"`
		NotifyURL   string          `json:"notify_url"`
		Amount      weChatPayAmount `json:"amount"`
	}
	if json.Unmarshal(body, &in) != nil || in.Refund == "" || len(in.Refund) > 64 || in.Amount.Refund <= 0 ||
		in.Amount.Currency != "CNY" || len(in.Reason) > 80 {
		return nil, &problem{http.StatusBadRequest, "PARAM_ERROR", "a field is missing or wrong"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.find(WeChatPay, in.Number)
	for _, other := range s.payments {
		if in.Transaction != "" && other.transaction == in.Transaction {
			p = other
		}
	}
	if p == nil || p.state != succeeded {
		return nil, &problem{http.StatusNotFound, "RESOURCE_NOT_EXISTS", "no such paid order"}
	}
	if f := s.findRefund(WeChatPay, in.Refund); f != nil {
		if f.payment != p || f.amount != in.Amount.Refund {
			return nil, &problem{http.StatusBadRequest, "INVALID_REQUEST", "the refund number was used with other parameters"}
		}
		return s.weChatPayRefunded(f, lie{}, false), nil
	}
	switch {
	case s.strikes(WeChatPay, "refund", RefundRefused):
		return nil, &problem{http.StatusForbidden, "USER_ACCOUNT_ABNORMAL", "the buyer's account is closed"}
	case in.Amount.Total != p.amount, p.refunded()+in.Amount.Refund > p.amount:
		return nil, &problem{http.StatusBadRequest, "INVALID_REQUEST", "more than was paid"}
	}
	f := &refund{
		payment: p, number: in.Refund, id: s.id("5030"), amount: in.Amount.Refund, state: s.refundState(WeChatPay),
		reason:    in.Reason,
		notifyURL: in.NotifyURL, askedAt: s.now(), at: s.now(),
	}
	p.refunds = append(p.refunds, f)
	answer := s.weChatPayRefunded(f, lie{}, false)
	if f.state == succeeded {
		// The money is on its way when the call is answered, and there when the notification says so.
		answer["status"] = "PROCESSING"
		s.notifyRefund(f)
	}
	return answer, nil
}

// weChatPayRefunded is a refund as a query tells it, or a notification.
func (s *Server) weChatPayRefunded(f *refund, l lie, notification bool) map[string]any {
	status := map[state]string{open: "PROCESSING", succeeded: "SUCCESS", failed: "ABNORMAL", closed: "CLOSED"}[f.state]
	amount := map[string]any{
		"total": f.payment.amount, "refund": f.amount, "payer_total": f.payment.amount, "payer_refund": f.amount,
	}
	out := map[string]any{
		"refund_id": f.id, "out_refund_no": f.number, "transaction_id": f.payment.transaction,
		"out_trade_no":          f.payment.number,
		"user_received_account": "OTHERS", "amount": amount,
	}
	if f.state == succeeded {
		out["success_time"] = chinaTime(f.at)
	}
	if l.amount {
		amount["refund"] = f.amount + 1
	}
	if notification {
		out["mchid"], out["refund_status"] = s.keys.MerchantID, status
		if l.merchant {
			out["mchid"] = "1900000002"
		}
		return out
	}
	out["status"], out["channel"], out["create_time"] = status, "ORIGINAL", chinaTime(f.askedAt)
	amount["currency"] = f.payment.currency
	return out
}

func (s *Server) weChatPayQueryRefund(r *http.Request, _ []byte) (any, *problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.findRefund(WeChatPay, r.PathValue("number"))
	if f == nil {
		return nil, &problem{http.StatusNotFound, "RESOURCE_NOT_EXISTS", "no such refund"}
	}
	return s.weChatPayRefunded(f, lie{}, false), nil
}

func (s *Server) weChatPayBill(r *http.Request, _ []byte) (any, *problem) {
	day, err := time.ParseInLocation(time.DateOnly, r.URL.Query().Get("bill_date"), shanghai)
	if err != nil || !day.Before(s.now()) {
		return nil, &problem{http.StatusBadRequest, "PARAM_ERROR", "bill_date is wrong"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	bill, rows := s.weChatPayBillOf(day)
	if rows == 0 {
		return nil, &problem{http.StatusBadRequest, "NO_STATEMENT_EXIST", "there is no bill"}
	}
	token := random(16)
	s.bills[token] = bill
	sum := sha1.Sum(bill)
	return map[string]string{"hash_type": "SHA1", "hash_value": hex.EncodeToString(sum[:]), "download_url": s.base(r) +
		"/v3/billdownload/file?token=" + token}, nil
}

// weChatPayDownload answers with the file, whose hash stands for a signature.
func (s *Server) weChatPayDownload(w http.ResponseWriter, r *http.Request) {
	if _, why := s.authentic(r); why != "" {
		http.Error(w, why, http.StatusUnauthorized)
		return
	}
	s.mu.Lock()
	bill, ok := s.bills[r.URL.Query().Get("token")]
	if ok && s.strikes(WeChatPay, "download", ForgedAnswer) {
		bill = []byte(strings.Replace(string(bill), "`SUCCESS", "`REFUND", 1))
	}
	s.mu.Unlock()
	if !ok {
		http.Error(w, "no such file", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write(bill)
}

// weChatPayNotification seals and signs a resource.
func (s *Server) weChatPayNotification(event, original string, resource map[string]any, forged bool) func() message {
	id, plain, created := random(16), encode(resource), chinaTime(s.now())
	return func() message {
		sealed := s.seal(plain, original)
		sealed["original_type"] = original
		body := encode(map[string]any{
			"id": id, "create_time": created, "resource_type": "encrypt-resource", "event_type": event, "summary": event,
			"resource": sealed,
		})
		return message{
			contentType: "application/json", header: s.weChatPayHeader(body, !s.certificatesMode, forged), body: body,
		}
	}
}

func (s *Server) weChatPayPayment(p *payment) func(lie) func() message {
	return func(l lie) func() message {
		return s.weChatPayNotification("TRANSACTION.SUCCESS", "transaction", s.weChatPayTrade(p, l), l.forged)
	}
}

func (s *Server) weChatPayRefund(f *refund) func(lie) func() message {
	return func(l lie) func() message {
		event := map[state]string{succeeded: "REFUND.SUCCESS", failed: "REFUND.ABNORMAL", closed: "REFUND.CLOSED"}[f.state]
		return s.weChatPayNotification(event, "refund", s.weChatPayRefunded(f, l, true), l.forged)
	}
}

// takenByWeChatPay: 200 or 204.
func takenByWeChatPay(status int, _ []byte) bool {
	return status == http.StatusOK || status == http.StatusNoContent
}

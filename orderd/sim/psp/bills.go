package psp

import (
	"archive/zip"
	"bytes"
	"fmt"
	"strings"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// billTime is how both bills print a time.
const billTime = "2006-01-02 15:04:05"

// yuan prints minor units as the bills do.
func yuan(minor int64) string {
	sign := ""
	if minor < 0 {
		sign, minor = "-", -minor
	}
	return fmt.Sprintf("%s%d.%02d", sign, minor/100, minor%100)
}

func within(t, day time.Time) bool {
	return !t.Before(day) && t.Before(day.Add(24*time.Hour))
}

// The header of an ALL bill, as the document of "Apply for Transaction Bill" lists it.
const weChatPayHeading = "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额," +
	"微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注"

// weChatPayBillOf is the day's bill and how many rows it has. The caller holds the lock.
func (s *Server) weChatPayBillOf(day time.Time) ([]byte, int) {
	var b bytes.Buffer
	b.WriteString("\ufeff" + weChatPayHeading + "\r\n")
	rows, paid, back := 0, int64(0), int64(0)
	row := func(at time.Time, p *payment, r *refund) {
		fields := []string{
			at.In(shanghai).Format(billTime), s.keys.AppID, s.keys.MerchantID, "0", "", p.transaction, p.number, p.payer,
			strings.ToUpper(p.method), "SUCCESS",
			"OTHERS", p.currency, yuan(p.amount), "0.00", "0", "0", "0.00", "0.00", "", "", p.description, "", "0.00000",
			"0.60%", yuan(p.amount), "0.00", "",
		}
		if r != nil {
			fields[9], fields[12], fields[14], fields[15], fields[16], fields[18] = "REFUND", "0.00", r.id, r.number,
				yuan(r.amount), "ORIGINAL"
			fields[19] = map[state]string{open: "PROCESSING", succeeded: "SUCCESS", failed: "CHANGE"}[r.state]
			fields[24], fields[25] = "0.00", yuan(r.amount)
		}
		b.WriteString("`" + strings.Join(fields, ",`") + "\r\n")
		rows++
	}
	for _, p := range s.payments {
		if p.provider != WeChatPay || p.state != succeeded {
			continue
		}
		if within(p.paidAt, day) {
			row(p.paidAt, p, nil)
			paid += p.amount
		}
		for _, r := range p.refunds {
			// A refund is in the bill of the day that it was asked for.
			if within(r.askedAt, day) {
				row(r.askedAt, p, r)
				back += r.amount
			}
		}
	}
	b.WriteString("总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额\r\n")
	fmt.Fprintf(&b, "`%d,`%s,`%s,`0.00,`0.00000,`%s,`%s\r\n", rows, yuan(paid), yuan(back), yuan(paid), yuan(back))
	return b.Bytes(), rows
}

const alipayHeading = "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,商家实收（元）,支付宝红包（元）," +
	"集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"

// alipayBillOf is the day's bill as Alipay hands it out: two files in GBK in a ZIP archive. The
// caller holds the lock.
func (s *Server) alipayBillOf(day time.Time) ([]byte, int, error) {
	var b strings.Builder
	b.WriteString("#支付宝业务明细查询\r\n#账号：[" + s.keys.SellerID + "0156]\r\n")
	const chinese = "2006年01月02日"
	fmt.Fprintf(&b, "#起始日期：[%s 00:00:00]   终止日期：[%s 00:00:00]\r\n",
		day.Format(chinese), day.AddDate(0, 0, 1).Format(chinese))
	b.WriteString("#-----------------------------------------业务明细列表----------------------------------------\r\n")
	b.WriteString(alipayHeading + "\r\n")
	rows := 0
	row := func(at time.Time, p *payment, r *refund) {
		kind, amount, number := "交易", p.amount, ""
		if r != nil {
			kind, amount, number = "退款", -r.amount, r.number+"\t"
		}
		created, done := p.createdAt.In(shanghai).Format(billTime), at.In(shanghai).Format(billTime)
		fields := []string{
			p.transaction + "\t", p.number + "\t", kind, p.description, created, done, "", "", "", "",
			"*三(138****0000)\t", yuan(amount), yuan(amount),
			"0.00", "0.00", "0.00", "0.00", "0.00", "", "0.00", "0.00", number, "0.00", "0.00", "",
		}
		b.WriteString(strings.Join(fields, ",") + "\r\n")
		rows++
	}
	for _, p := range s.payments {
		if p.provider != Alipay || p.transaction == "" {
			continue
		}
		if within(p.paidAt, day) {
			row(p.paidAt, p, nil)
		}
		for _, r := range p.refunds {
			if within(r.at, day) && r.state == succeeded {
				row(r.at, p, r)
			}
		}
	}
	b.WriteString("#-----------------------------------------业务明细列表结束------------------------------------\r\n")
	fmt.Fprintf(&b, "#交易合计：%d笔\r\n#导出时间：[%s]\r\n", rows, s.now().In(shanghai).Format("2006年01月02日 15:04:05"))
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	name := s.keys.SellerID + "0156_" + day.Format("20060102")
	for file, text := range map[string]string{name + "_业务明细.csv": b.String(), name + "_业务明细(汇总).csv": "#支付宝业务汇总查询\r\n"} {
		encoded, err := simplifiedchinese.GBK.NewEncoder().String(text)
		if err != nil {
			return nil, 0, fmt.Errorf("psp: writing a bill: %w", err)
		}
		encodedName, err := simplifiedchinese.GBK.NewEncoder().String(file)
		if err != nil {
			return nil, 0, fmt.Errorf("psp: writing a bill: %w", err)
		}
		w, err := archive.CreateHeader(&zip.FileHeader{Name: encodedName, NonUTF8: true, Method: zip.Deflate})
		if err != nil {
			return nil, 0, fmt.Errorf("psp: writing a bill: %w", err)
		}
		if _, err := w.Write([]byte(encoded)); err != nil {
			return nil, 0, fmt.Errorf("psp: writing a bill: %w", err)
		}
	}
	if err := archive.Close(); err != nil {
		return nil, 0, fmt.Errorf("psp: writing a bill: %w", err)
	}
	return out.Bytes(), rows, nil
}

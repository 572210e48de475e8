package push

// builtIn are the templates from the start, in English and Chinese, by event and language.
func builtIn() map[string]map[string]Template {
	all := map[string]map[string]Template{}
	add := func(event, lang, title, body string) {
		if all[event] == nil {
			all[event] = map[string]Template{}
		}
		all[event][lang] = Template{Event: event, Language: lang, Title: title, Body: body, BuiltIn: true}
	}
	add("paid", "en", "Order paid", "We received {total} for {item}. Your order is being prepared.")
	add("paid", "zh", "订单已支付", "已收到您为{item}支付的 {total}，正在为您备货。")
	add("cancelled", "en", "Order cancelled",
		"Your order of {item} was cancelled. If you have paid, your money is on its way back to you.")
	add("cancelled", "zh", "订单已取消", "您的订单（{item}）已取消。如已付款，款项将原路退回。")
	add("shipped", "en", "Order shipped", "A parcel of your order of {item} is on its way.")
	add("shipped", "zh", "订单已发货", "您的订单（{item}）有包裹已发出。")
	add("delivered", "en", "Order delivered", "A parcel of your order of {item} has arrived.")
	add("delivered", "zh", "包裹已送达", "您的订单（{item}）有包裹已送达。")
	add("completed", "en", "Order completed", "Your order of {item} is completed. Thank you!")
	add("completed", "zh", "订单已完成", "您的订单（{item}）已完成，感谢您的惠顾！")
	add("refunded", "en", "Refund paid", "{amount} for your order of {item} was paid back to you.")
	add("refunded", "zh", "退款到账", "您的订单（{item}）已退款 {amount}。")
	add("return_changed", "en", "Your return", "Your return for {item} is now: {state}.")
	add("return_changed", "zh", "退货进度更新", "您的退货（{item}）状态更新为：{state}。")
	add("invoice_changed", "en", "Your invoice", "Your invoice for {item} is now: {state}.")
	add("invoice_changed", "zh", "发票进度更新", "您的订单（{item}）的发票状态更新为：{state}。")
	return all
}

// returnStates are how buyers are told of a return's state; others are told as they are.
func returnStates() map[string]map[string]string {
	return map[string]map[string]string{
		"en": {
			"REQUESTED": "requested", "APPROVED": "approved", "REJECTED": "rejected", "IN_TRANSIT": "on its way to us",
			"RECEIVED": "received", "REFUNDED": "refunded", "CANCELLED": "cancelled",
		},
		"zh": {
			"REQUESTED": "已申请", "APPROVED": "已同意", "REJECTED": "已拒绝", "IN_TRANSIT": "退货途中",
			"RECEIVED": "已收货", "REFUNDED": "已退款", "CANCELLED": "已撤销",
		},
	}
}

// invoiceStates are how buyers are told of an invoice's state.
func invoiceStates() map[string]map[string]string {
	return map[string]map[string]string{
		"en": {"ISSUED": "issued", "REJECTED": "rejected", "VOIDED": "voided"},
		"zh": {"ISSUED": "已开具", "REJECTED": "已驳回", "VOIDED": "已作废"},
	}
}

// resolve finds the template for an event in the best of the languages there is one in: written
// before built in, a region's before its language's. None: buyers are told nothing.
func resolve(written map[string]map[string]Template, event, lang string) (Template, bool) {
	for _, l := range candidates(lang) {
		for _, templates := range []map[string]map[string]Template{written, builtIn()} {
			if t, ok := templates[event][l]; ok {
				return t, !t.Muted
			}
		}
	}
	return Template{}, false
}

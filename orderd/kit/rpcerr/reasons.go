package rpcerr

// Reasons that every RPC may answer with. The comment of a reason says to apps what it means and
// what to do; docs/errors.md has it from here.
const (
	// ReasonTokenMissing: No `Authorization: Bearer` header. Sign in.
	ReasonTokenMissing = "TOKEN_MISSING"
	// ReasonTokenInvalid: Not a token that the issuer made for this shop. Sign in again.
	ReasonTokenInvalid = "TOKEN_INVALID"
	// ReasonTokenExpired: Get a new token, and repeat the request with the same `requestId`.
	ReasonTokenExpired = "TOKEN_EXPIRED"
	// ReasonKeysUnavailable: The token's key cannot be looked up now. Retry after the delay.
	ReasonKeysUnavailable = "KEYS_UNAVAILABLE"
	// ReasonKeyAmbiguous: Several orders have this key: the metadata `order_ids` names them, the newest first. Look
	// at each by its id.
	ReasonKeyAmbiguous = "KEY_AMBIGUOUS"
	// ReasonRoleMissing: The token has none of the roles in the metadata `roles`. Not to be
	// retried.
	ReasonRoleMissing = "ROLE_MISSING"
	// ReasonOtherBuyer: A buyer's token with another buyer's `buyerId`. Leave `buyerId` out.
	ReasonOtherBuyer = "OTHER_BUYER"
	// ReasonRateLimited: This caller asks too often or, where the metadata `limit` is `inFlight`, has too
	// many requests under way at once. Retry after the delay.
	ReasonRateLimited = "RATE_LIMITED"
	// ReasonOverloaded: The pod is full. Retry after the delay; another pod may answer.
	ReasonOverloaded = "OVERLOADED"
	// ReasonInvalidRequest: The body cannot be read, or a field breaks a rule: the message and the
	// detail `buf.validate.Violations` name it. A mistake in the app.
	ReasonInvalidRequest = "INVALID_REQUEST"
	// ReasonUnknownField: The JSON has a field that the message has not, at the path in the metadata
	// `field`. A mistake in the app, or an app that is newer than the shop: upgrade the shop first.
	ReasonUnknownField = "UNKNOWN_FIELD"
	// ReasonRequestTooLarge: The body is too large. A mistake in the app.
	ReasonRequestTooLarge = "REQUEST_TOO_LARGE"
	// ReasonUnimplemented: There is no such RPC at this address. It may come without a reason; a
	// service that is not at this address is HTTP 404.
	ReasonUnimplemented = "UNIMPLEMENTED"
	// ReasonParcelRequested: A parcel was asked for that has not left. Staff take it back by CancelShipment, then it is
	// possible; for a buyer it is too late.
	ReasonParcelRequested = "PARCEL_REQUESTED"
	// ReasonUnitsNotHere: A parcel has the units, or they were refunded: of the line in the metadata `line`, `left` can
	// be. What has left comes back by a return.
	ReasonUnitsNotHere = "UNITS_NOT_HERE"
	// ReasonDatabaseUnavailable: The database is away or busy; whether the request had its effect
	// is unknown. Retry after the delay with the same `requestId`.
	ReasonDatabaseUnavailable = "DATABASE_UNAVAILABLE"
	// ReasonOrderNotReady: The flash order is accepted, and not in the database yet. Retry after
	// the delay with the same `requestId`.
	ReasonOrderNotReady = "ORDER_NOT_READY"
	// ReasonDeadlineExceeded: It took too long; whether the request had its effect is unknown.
	// Retry with the same `requestId`.
	ReasonDeadlineExceeded = "DEADLINE_EXCEEDED"
	// ReasonCanceled: The app went away. As with a time-out, a retry with the same `requestId`
	// tells.
	ReasonCanceled = "CANCELED"
	// ReasonInternal: A mistake in orderd, which is in its log. A retry with the same `requestId`
	// is safe.
	ReasonInternal = "INTERNAL"
)

// Reasons that the comments of the RPCs name, with their codes.
const (
	// ReasonAddressMissing: The order has no address yet. The buyer gives one with `SetDelivery`.
	ReasonAddressMissing = "ADDRESS_MISSING"
	// ReasonAddressNotFound: The buyer has no such address. Read `ListAddresses` again.
	ReasonAddressNotFound = "ADDRESS_NOT_FOUND"
	// ReasonAdmissionClosed: No more admission tokens are given out for this promotion.
	ReasonAdmissionClosed = "ADMISSION_CLOSED"
	// ReasonAdmissionInvalid: An admission token is not one for this buyer and item. Load the
	// item's page again.
	ReasonAdmissionInvalid = "ADMISSION_INVALID"
	// ReasonAdmissionNotRequired: The promotion asks for no admission tokens. Order without.
	ReasonAdmissionNotRequired = "ADMISSION_NOT_REQUIRED"
	// ReasonAdmissionRequired: The promotion takes requests only with an admission token for each
	// item, which the item's page has.
	ReasonAdmissionRequired = "ADMISSION_REQUIRED"
	// ReasonAlreadyPaid: The provider has the money, and the order is about to be PAID. Read the
	// order until it is.
	ReasonAlreadyPaid = "ALREADY_PAID"
	// ReasonAlreadyShipped: Units that had not left when the return was requested have left. Have
	// the return cancelled and another requested.
	ReasonAlreadyShipped = "ALREADY_SHIPPED"
	// ReasonAmountTooLarge: The sum is more than 64 bits of the minor unit hold.
	ReasonAmountTooLarge = "AMOUNT_TOO_LARGE"
	// ReasonBudgetSpent: More of the budget is given away than the new budget has.
	ReasonBudgetSpent = "BUDGET_SPENT"
	// ReasonBudgetTooSmall: The budget is not enough for one coupon.
	ReasonBudgetTooSmall = "BUDGET_TOO_SMALL"
	// ReasonCampaignNotFound: There is no such campaign.
	ReasonCampaignNotFound = "CAMPAIGN_NOT_FOUND"
	// ReasonCarrierUnknown: Not a configured carrier. Give the parcel's tracking number, or name
	// another carrier.
	ReasonCarrierUnknown = "CARRIER_UNKNOWN"
	// ReasonCartEmpty: No lines were given and none are selected in the cart.
	ReasonCartEmpty = "CART_EMPTY"
	// ReasonCartFull: A cart has 100 lines at most. The buyer removes some.
	ReasonCartFull = "CART_FULL"
	// ReasonCartLineNotFound: The SKU is not in the cart. Read the cart again.
	ReasonCartLineNotFound = "CART_LINE_NOT_FOUND"
	// ReasonConsumerUnknown: There is no such consumer any more. The dead letter can be discarded.
	ReasonConsumerUnknown = "CONSUMER_UNKNOWN"
	// ReasonCouponExhausted: All coupons of the template are given away.
	ReasonCouponExhausted = "COUPON_EXHAUSTED"
	// ReasonCouponNotFound: The buyer has no such coupon.
	ReasonCouponNotFound = "COUPON_NOT_FOUND"
	// ReasonCouponUnusable: The coupon cannot be used for this order; metadata `why`. Quote again
	// without it. With `why` `LOCKED` the metadata `order_id` is the buyer's unpaid order that has it,
	// if there is one already: that can be paid or cancelled instead.
	ReasonCouponUnusable = "COUPON_UNUSABLE"
	// ReasonCurrencyMismatch: The amounts are not in one currency. Order the SKUs separately.
	ReasonCurrencyMismatch = "CURRENCY_MISMATCH"
	// ReasonDayNotOver: The provider has no statement of that day yet.
	ReasonDayNotOver = "DAY_NOT_OVER"
	// ReasonDeadLetterNotFound: It was replayed or discarded, or is too old.
	ReasonDeadLetterNotFound = "DEAD_LETTER_NOT_FOUND"
	// ReasonDeliveryMethodUnknown: There is no such delivery method. Quote again and offer the
	// quote's `deliveries`.
	ReasonDeliveryMethodUnknown = "DELIVERY_METHOD_UNKNOWN"
	// ReasonEnded: The promotion is over.
	ReasonEnded = "ENDED"
	// ReasonEventUnknown: Buyers are not told of such an event.
	ReasonEventUnknown = "EVENT_UNKNOWN"
	// ReasonFieldRequired: The payment method needs the field that the metadata `field` names.
	ReasonFieldRequired = "FIELD_REQUIRED"
	// ReasonFileInvalid: The file cannot be read: metadata `field`, `line` (from 1, the header's) and `problem` (EMPTY,
	// NOT_UTF8, ZERO_BYTE, QUOTES, FIELDS, TOO_LONG, TOO_MANY_ROWS, TOO_MANY_COLUMNS, COLUMN_MISSING, COLUMN_TWICE). Mend
	// it and upload it again.
	ReasonFileInvalid = "FILE_INVALID"
	// ReasonFilterNotAllowed: The caller's role does not see what the metadata `field` names, and so cannot
	// find orders by it.
	ReasonFilterNotAllowed = "FILTER_NOT_ALLOWED"
	// ReasonFreightDiffers: The freight there is not what the order was placed with. Cancel it and
	// place another.
	ReasonFreightDiffers = "FREIGHT_DIFFERS"
	// ReasonFreightTemplateInUse: Delete the delivery method first.
	ReasonFreightTemplateInUse = "FREIGHT_TEMPLATE_IN_USE"
	// ReasonFreightTemplateNotFound: There is no such freight template.
	ReasonFreightTemplateNotFound = "FREIGHT_TEMPLATE_NOT_FOUND"
	// ReasonGuestTokenInvalid: The guest's token is no valid one. The cart that was filled with it
	// cannot be merged.
	ReasonGuestTokenInvalid = "GUEST_TOKEN_INVALID"
	// ReasonInsufficientStock: There is too little stock. The detail `StockShortage` names the
	// lines and what is left; the buyer orders less.
	ReasonInsufficientStock = "INSUFFICIENT_STOCK"
	// ReasonInvalidPageToken: Not a `nextPageToken` of this RPC. Begin with the first page.
	ReasonInvalidPageToken = "INVALID_PAGE_TOKEN"
	// ReasonInvoiceChanged: What was asked for was changed since it was read; the metadata `version` is the one now.
	// Read the invoice again.
	ReasonInvoiceChanged = "INVOICE_CHANGED"
	// ReasonInvoiceExceeds: More than can be on an invoice of the order: what was paid and is not promised back is in
	// the metadata `left`, in the minor unit; `field` names the amount.
	ReasonInvoiceExceeds = "INVOICE_EXCEEDS"
	// ReasonInvoiceNotFound: There is no such invoice.
	ReasonInvoiceNotFound = "INVOICE_NOT_FOUND"
	// ReasonInvoiceStateConflict: The invoice's state, in the metadata `state`, does not allow it. Read the invoices
	// again.
	ReasonInvoiceStateConflict = "INVOICE_STATE_CONFLICT"
	// ReasonInvoiceWindowClosed: The order was paid too long ago.
	ReasonInvoiceWindowClosed = "INVOICE_WINDOW_CLOSED"
	// ReasonItemsApart: The item in the metadata `sku` cannot be in one flash order with the first
	// one. Order it by itself.
	ReasonItemsApart = "ITEMS_APART"
	// ReasonItemNotFound: The promotion has no such item.
	ReasonItemNotFound = "ITEM_NOT_FOUND"
	// ReasonItemOff: The shop has switched the item off.
	ReasonItemOff = "ITEM_OFF"
	// ReasonJobNotFound: There is no such job, or it is of a kind that the caller may not do.
	ReasonJobNotFound = "JOB_NOT_FOUND"
	// ReasonKindNotAllowed: The caller's roles may not do jobs of the kind in the metadata `kind`.
	ReasonKindNotAllowed = "KIND_NOT_ALLOWED"
	// ReasonLaneUnavailable: The order may be one that the flash lane has just accepted, and the
	// lane does not answer now. Retry after the delay.
	ReasonLaneUnavailable = "LANE_UNAVAILABLE"
	// ReasonLanguageInvalid: Not a BCP 47 tag.
	ReasonLanguageInvalid = "LANGUAGE_INVALID"
	// ReasonLimitPerBuyer: The buyer has had as many as a buyer may have.
	ReasonLimitPerBuyer = "LIMIT_PER_BUYER"
	// ReasonMessagingUnavailable: The messaging system is away. Retry after the delay.
	ReasonMessagingUnavailable = "MESSAGING_UNAVAILABLE"
	// ReasonMethodNotOpen: The method does not take the order's currency. Offer what
	// `ListPaymentMethods` answers.
	ReasonMethodNotOpen = "METHOD_NOT_OPEN"
	// ReasonMethodUnknown: The provider has no such method. Offer what `ListPaymentMethods`
	// answers.
	ReasonMethodUnknown = "METHOD_UNKNOWN"
	// ReasonNothingLeftToShip: The units are in another shipment, or refunded.
	ReasonNothingLeftToShip = "NOTHING_LEFT_TO_SHIP"
	// ReasonNotClaimable: Buyers cannot claim it now.
	ReasonNotClaimable = "NOT_CLAIMABLE"
	// ReasonNotReplayable: The materializer took the order out for good and its stock goes back,
	// so it can never be written. The dead letter can be discarded.
	ReasonNotReplayable = "NOT_REPLAYABLE"
	// ReasonNothingToInvoice: The order cost nothing, or all that was paid is refunded.
	ReasonNothingToInvoice = "NOTHING_TO_INVOICE"
	// ReasonNotReturnable: A line has not as many units that can be returned: metadata `line` and
	// `left`.
	ReasonNotReturnable = "NOT_RETURNABLE"
	// ReasonNotStarted: Too early: the metadata `start_time` says when it starts. Retry then,
	// spread over a moment.
	ReasonNotStarted = "NOT_STARTED"
	// ReasonOrderBusy: Other changes of the order were in the way. Retry after the delay.
	ReasonOrderBusy = "ORDER_BUSY"
	// ReasonOrderChanged: The order was changed since it was shown; its version is in the metadata `version`. Look at
	// it again, and decide again.
	ReasonOrderChanged = "ORDER_CHANGED"
	// ReasonOrderNotFound: The buyer has no such order. After a flash order: not yet, or the
	// request was never taken.
	ReasonOrderNotFound = "ORDER_NOT_FOUND"
	// ReasonOrderStateConflict: The order's state, in the metadata `state` (without
	// `ORDER_STATE_`), does not allow it. Read the order again.
	ReasonOrderStateConflict = "ORDER_STATE_CONFLICT"
	// ReasonPartitionMoving: Whether the order was taken is unknown. Retry with the same
	// `requestId` after the delay.
	ReasonPartitionMoving = "PARTITION_MOVING"
	// ReasonPaused: The promotion is paused. Try again later.
	ReasonPaused = "PAUSED"
	// ReasonPaymentNotFound: The buyer has no such payment.
	ReasonPaymentNotFound = "PAYMENT_NOT_FOUND"
	// ReasonPaymentTimeOver: The time to pay is over. Place another order.
	ReasonPaymentTimeOver = "PAYMENT_TIME_OVER"
	// ReasonPriceChanged: What the quote promised does not hold any more. The detail is the new
	// `Quote`: show it, and place with its token.
	ReasonPriceChanged = "PRICE_CHANGED"
	// ReasonPromotionNotFound: There is no such promotion.
	ReasonPromotionNotFound = "PROMOTION_NOT_FOUND"
	// ReasonProviderRefused: The payment provider has refused, with its own code in the metadata
	// `provider_code`. Offer another method.
	ReasonProviderRefused = "PROVIDER_REFUSED"
	// ReasonProviderUnavailable: The payment provider does not answer. Retry with the same
	// `requestId` after the delay, or offer another.
	ReasonProviderUnavailable = "PROVIDER_UNAVAILABLE"
	// ReasonProviderUnknown: Not a configured payment provider.
	ReasonProviderUnknown = "PROVIDER_UNKNOWN"
	// ReasonQuantityTooLarge: A line has 9999 units at most; the metadata `quantity` is what it
	// has.
	ReasonQuantityTooLarge = "QUANTITY_TOO_LARGE"
	// ReasonQuoteExpired: Quote again.
	ReasonQuoteExpired = "QUOTE_EXPIRED"
	// ReasonQuoteInvalid: Not a token of a quote for this buyer. Quote again.
	ReasonQuoteInvalid = "QUOTE_INVALID"
	// ReasonRefundChanged: Somebody else changed the refund. Retry after the delay.
	ReasonRefundChanged = "REFUND_CHANGED"
	// ReasonRefundExceeds: More than was paid for the units and has not gone back yet.
	ReasonRefundExceeds = "REFUND_EXCEEDS"
	// ReasonRefundNotFound: There is no such refund, or it is not of this buyer's.
	ReasonRefundNotFound = "REFUND_NOT_FOUND"
	// ReasonRefundStateConflict: The refund has not failed.
	ReasonRefundStateConflict = "REFUND_STATE_CONFLICT"
	// ReasonRequestIDReused: The `requestId` was used for another request. A mistake in the app: a
	// new intention takes a new id.
	ReasonRequestIDReused = "REQUEST_ID_REUSED"
	// ReasonRequestUnderWay: The same request is being placed by another pod. Retry after the
	// delay with the same `requestId`.
	ReasonRequestUnderWay = "REQUEST_UNDER_WAY"
	// ReasonRestockExceeds: More units of a line, in the metadata `line`, than are in the return.
	ReasonRestockExceeds = "RESTOCK_EXCEEDS"
	// ReasonResumeTooOld: What changed since the token was given is not known any more. Begin without a token, and list
	// the orders again.
	ReasonResumeTooOld = "RESUME_TOO_OLD"
	// ReasonReturnNotFound: There is no such return, or it is not this buyer's.
	ReasonReturnNotFound = "RETURN_NOT_FOUND"
	// ReasonReturnStateConflict: The return's state, in the metadata `state`, does not allow it.
	// Read the return again.
	ReasonReturnStateConflict = "RETURN_STATE_CONFLICT"
	// ReasonReturnWindowClosed: It was delivered too long ago.
	ReasonReturnWindowClosed = "RETURN_WINDOW_CLOSED"
	// ReasonRowInvalid: The column in the metadata `field` of a file's row cannot be what it says. Mend it and upload the
	// row again.
	ReasonRowInvalid = "ROW_INVALID"
	// ReasonShipmentNotFound: There is no such shipment, or it is not of this buyer's.
	ReasonShipmentNotFound = "SHIPMENT_NOT_FOUND"
	// ReasonShipmentStateConflict: The shipment's state, in the metadata `state`, does not allow
	// it.
	ReasonShipmentStateConflict = "SHIPMENT_STATE_CONFLICT"
	// ReasonSKUNotFound: There is no such SKU.
	ReasonSKUNotFound = "SKU_NOT_FOUND"
	// ReasonSKUNotOnSale: The SKU cannot be ordered now. Take the line out.
	ReasonSKUNotOnSale = "SKU_NOT_ON_SALE"
	// ReasonSoldOut: No unit of an item is left. One may come back while others do not pay.
	ReasonSoldOut = "SOLD_OUT"
	// ReasonTaxClassNotFound: There is no such tax class.
	ReasonTaxClassNotFound = "TAX_CLASS_NOT_FOUND"
	// ReasonTemplateInvalid: A text of the template cannot be read: metadata `field` and
	// `problem`.
	ReasonTemplateInvalid = "TEMPLATE_INVALID"
	// ReasonTemplateNotFound: There is no such template.
	ReasonTemplateNotFound = "TEMPLATE_NOT_FOUND"
	// ReasonTemplateValueFixed: What a coupon is worth never changes: metadata `field`. Make
	// another template.
	ReasonTemplateValueFixed = "TEMPLATE_VALUE_FIXED"
	// ReasonTooManyAddresses: A buyer has 50 addresses at most.
	ReasonTooManyAddresses = "TOO_MANY_ADDRESSES"
	// ReasonTooManyCampaigns: 200 campaigns at most are on at a time.
	ReasonTooManyCampaigns = "TOO_MANY_CAMPAIGNS"
	// ReasonTooManyChanges: The order takes no more notes and tags once it has changed as often as the
	// metadata `most` says.
	ReasonTooManyChanges = "TOO_MANY_CHANGES"
	// ReasonTooManyDeliveryMethods: A shop has 50 delivery methods at most.
	ReasonTooManyDeliveryMethods = "TOO_MANY_DELIVERY_METHODS"
	// ReasonTooManyFreightTemplates: There are as many freight templates as there may be.
	ReasonTooManyFreightTemplates = "TOO_MANY_FREIGHT_TEMPLATES"
	// ReasonTooManyInvoices: The order has as many invoices, or the invoice as many changes, as the metadata `most` says.
	ReasonTooManyInvoices = "TOO_MANY_INVOICES"
	// ReasonTooManyJobs: As many jobs are running as the metadata `most` says. Wait until one has ended.
	ReasonTooManyJobs = "TOO_MANY_JOBS"
	// ReasonTooManyPayments: The order has as many payments as the metadata `most` says. Pay by one of them.
	ReasonTooManyPayments = "TOO_MANY_PAYMENTS"
	// ReasonTooManyReturns: The order has as many returns as an order may have.
	ReasonTooManyReturns = "TOO_MANY_RETURNS"
	// ReasonTooManyShipments: The order has as many shipments as an order may have.
	ReasonTooManyShipments = "TOO_MANY_SHIPMENTS"
	// ReasonTooManyTags: An order has as many tags at most as the metadata `most` says. Take others off.
	ReasonTooManyTags = "TOO_MANY_TAGS"
	// ReasonTooManyTaxClasses: A shop has 200 tax classes at most.
	ReasonTooManyTaxClasses = "TOO_MANY_TAX_CLASSES"
	// ReasonTooManyTemplates: There are as many push templates as there may be.
	ReasonTooManyTemplates = "TOO_MANY_TEMPLATES"
	// ReasonTooManyUnpaid: The buyer has ordered as much as a buyer may without having paid for it: the
	// metadata `limit` is `unpaidOrders` or `reservedUnits` (of all SKUs together), `most` how many one may
	// have and `left` how many more. The buyer pays for or cancels an order, or orders less; an unpaid order
	// also expires.
	ReasonTooManyUnpaid = "TOO_MANY_UNPAID"
	// ReasonTrackingNumberNotYours: A configured carrier gives the tracking number itself. Leave
	// it out.
	ReasonTrackingNumberNotYours = "TRACKING_NUMBER_NOT_YOURS"
	// ReasonUndeliverable: Nothing is delivered to that address: metadata `country` and `region`.
	// Another address, or another delivery method.
	ReasonUndeliverable = "UNDELIVERABLE"
)

// Reasons that apps never see.
const (
	// ReasonNotOwner: Another pod owns the partition; only pods tell each other.
	ReasonNotOwner = "NOT_OWNER"
)

package journeys

// action is one thing that somebody does; it does nothing where nothing fits.
type action struct {
	weight int
	do     func(*journey)
}

func actions() []action {
	return []action{
		{2, (*journey).changePrice},
		{1, (*journey).changeSale},
		{4, (*journey).changeStock},
		{1, (*journey).spread},
		{4, (*journey).addToCart},
		{3, (*journey).changeCart},
		{4, (*journey).claim},
		{1, (*journey).claimAtOnce},
		{4, (*journey).readSome},
		{7, (*journey).quote},
		{7, (*journey).placeByToken},
		{8, (*journey).place},
		{3, (*journey).placeAgain},
		{3, (*journey).placeLastUnits},
		{2, (*journey).placeOnceAtOnce},
		{3, (*journey).placeAndExpire},
		{5, (*journey).cancel},
		{3, (*journey).cancelWhilePaying},
		{8, (*journey).createPayment},
		{14, (*journey).pay},
		{4, (*journey).payAgain},
		{3, (*journey).notifyAgain},
		{9, (*journey).collect},
		{7, (*journey).deliver},
		{4, (*journey).confirm},
		{10, (*journey).requestReturn},
		{2, (*journey).requestReturnsAtOnce},
		{22, (*journey).changeReturn},
		{2, (*journey).refundAtOnce},
	}
}

package indexer

import "github.com/mailkeep/mailkeep/mail"

// PageAfter returns the page token (mail.SearchRequest.After) of what comes
// behind h in this index, for those who take only a part of a page.
func PageAfter(h mail.Hit) string { return orderKey(h.Date, h.ID.Seq) }

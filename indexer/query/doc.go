// Package query reads what a person types into the search box.
//
// # Language
//
//	invoice march            both words, anywhere in the message
//	"annual report"          the words in this order, at most 8
//	invoic*                  words that begin so; at least 3 characters
//	a OR b, a AND b          AND is implied; NOT binds tighter than AND, AND than OR
//	-word, NOT word          without it
//	( ... )                  grouping
//	from: to: cc: bcc:       a name, an address, or @domain with its subdomains
//	subject: filename:       a word, "phrase" or prefix* of that field alone
//	mailbox:                 the name of a configured mailbox, as a whole
//	has:attachment           messages with attachments
//	before: after: on:       a day 2024-01-31, a month 2024-01 or a year 2024
//	larger: smaller:         a size in octets, with k, M or G for powers of 1024
//
// Operators are upper case; field names are not case sensitive. A field may
// stand before a group: from:(anna OR bob).
//
// Days are UTC. before: excludes the period it names and after: begins with its
// first day, so that "after:2024-01 before:2024-03" is January and February.
// larger: and smaller: exclude the size itself.
//
// # Tolerance
//
// Parse gives a meaning to everything: an unknown field is literal text
// ("RE: hello"), an open quote closes at the end, parentheses and operators
// without a partner are passed over. Each such reading leaves a mail.Warning.
// Errors (mail.Invalid) are kept for what cannot be guessed, such as larger:abc,
// and for the limits below, which keep a query's cost bounded.
//
// # Canonical form
//
// Query.String writes the tree back in the same language. Parsing that gives
// an equal tree, the same string and no warnings.
package query

// Package query reads what a person types into the search box.
//
// # Language
//
//	invoice march            both words, anywhere in the message
//	"annual report"          the words in this order, at most 8
//	"annual report"~5        the words in any order, at most 5 others between them
//	invoic*                  words that begin so; at least 3 characters
//	invoice~                 words that differ by one letter; at least 4 characters
//	stem:invoice             words of the same stem, English or German
//	a OR b, a AND b          AND is implied; NOT binds tighter than AND, AND than OR
//	-word, NOT word          without it
//	( ... )                  grouping
//
//	from: to: cc: bcc: participants:
//	                         a name, an address, local@ alone, @domain with its
//	                         subdomains, or *part* of an address
//	domain:                  a domain of any participant, with its subdomains
//	subject: body: attachment: filename:
//	                         a word, "phrase" or prefix* of that text alone
//	filetype: hash: message-id: list: lang: mailbox: defect: class: hold: thread:
//	                         a value as a whole; see docs/search.md
//	has: is:                 one of HasValues or IsValues
//	before: after:           a day 2024-01-31, a month 2024-01 or a year 2024
//	on: during:              the same, or a range 2024-01..2024-03
//	received: sealed:        the same of the date of the topmost Received field, or
//	                         of the moment of archiving
//	older_than: newer_than:  days, weeks, months or years: 7d 2w 6m 1y
//	larger: smaller:         a size in octets, with k, M or G for powers of 1024
//
// Operators are upper case; field names are not case sensitive. A field may
// stand before a group: from:(anna OR bob).
//
// before: excludes the period it names and after: begins with its first day, so
// that "after:2024-01 before:2024-03" is January and February. Days begin and
// end in the zone of Options. larger: and smaller: exclude the size itself.
// older_than: and newer_than: count whole days back from the beginning of today,
// so that each message is on one side of them; they become before: and after:
// with a date, which stays true tomorrow.
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
// an equal tree, the same string and no warnings. Query.Explain says the same
// in words, with all dates worked out.
package query

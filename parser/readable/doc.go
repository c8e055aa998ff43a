// Package readable makes the text that a person would read of HTML and of
// decoded plain text. It is shared by the parser, for the bodies of messages,
// and by the extractors, for documents.
//
// Both readings are total, linear in their input and bounded by a limit on the
// octets that they keep; they say whether that limit cut something off. What
// they return is valid UTF-8 wherever their input is, with LF as the line end,
// and holds no controls and no characters without width, which would part or
// hide words.
package readable

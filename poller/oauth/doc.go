// Package oauth supplies the bearer tokens by which mailboxes are entered where
// passwords are no longer taken: Exchange Online, Google Workspace and the like
// (RFC 6749, RFC 6750).
//
// # Model
//
// A [Source] is one right to fetch tokens from a token server. With the client
// credentials flow (RFC 6749 section 4.4) the client acts for itself: one Source
// serves any number of mailboxes with one token. With a refresh token (section
// 6) a person once allowed the client to act for them: a Source serves the
// mailboxes of that person.
//
// A token is fetched when it is first asked for, kept in memory, and fetched
// anew shortly before it ends, by whoever asks then: there is no goroutine. A
// server may refuse a token before its time; [Source.Renew] then fetches another.
//
// # Invariants
//
// One request at a time. Whoever asks while another does waits for its result,
// so that a thousand mailboxes cost one request.
//
// Failures are remembered. The token server is not asked again for a while that
// depends on the [Class], unless the secret has changed; and a token younger
// than a minute is not renewed, for another one would be refused as well. A
// misconfigured client costs the token server a request a minute at most.
//
// Secrets are read anew for each request, so that a rotated one is used. A
// refresh token that the server replaces lives in memory, and wherever
// Config.Keep puts it; if that is nowhere, the configured one must still be good
// at the next start. Secrets and tokens reach neither errors nor logs, not even
// where the token server repeats them; of what it says only error code and
// description are told, bounded and cleaned.
//
// Bounds. A request takes 30 s at most, an answer 1 MiB, a token 8 KiB; a
// redirect is not followed, since it would carry the secret elsewhere.
package oauth

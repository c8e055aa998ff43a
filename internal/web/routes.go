package web

import (
	"context"
	"net/http"

	"github.com/mailkeep/mailkeep/mail"
)

// Service is what the control routes ask of the process behind them. A nil
// function is a role that the process does not have; its route answers 404.
type Service struct {
	// Search answers one page; it keeps to ctx's deadline.
	Search func(context.Context, mail.SearchRequest) (mail.SearchAnswer, error)
	// Status returns a value that encoding/json can write.
	Status func(context.Context) (any, error)
	// History returns the latest limit sessions of a mailbox, as a value that
	// encoding/json can write.
	History func(ctx context.Context, mailbox string, limit int) (any, error)
	// Probe looks at a mailbox and returns a value that encoding/json can write;
	// force says that a breaker is to be passed over.
	Probe func(ctx context.Context, mailbox string, force bool) (any, error)
	// Reset closes the breakers of a mailbox and has it polled now.
	Reset func(ctx context.Context, mailbox string) error
	// Hold places or releases a legal hold, Matters tells of all of them, and Erase
	// erases records.
	Hold    func(context.Context, mail.Hold) (mail.Matter, error)
	Matters func(context.Context) ([]mail.Matter, error)
	Erase   func(context.Context, mail.EraseOrder) (mail.Erased, error)
	// Reparse reads messages again for the index, and tells how far it has come; it
	// ends soon after its context does.
	Reparse func(ctx context.Context, o mail.ReparseOrder, tell func(mail.Reparsed)) (mail.Reparsed, error)
	// Recall looks for messages in the index by words of their own.
	Recall func(context.Context, mail.RecallOrder) (mail.Recalled, error)
	// CatalogSummary and IndexSummary identify the content of the views of a
	// partition, for verify.
	CatalogSummary func(context.Context, uint16) (mail.ViewSummary, error)
	IndexSummary   func(context.Context, uint16) (mail.ViewSummary, error)
	// IndexDocuments calls yield with the position of every document of a
	// partition's index, in order, until it returns false.
	IndexDocuments func(context.Context, uint16, func(uint64) bool) error
}

// Control returns the routes of the socket.
func Control(s Service) http.Handler {
	mux := http.NewServeMux()
	// One page of hits for ?q=, with ?limit= and ?after=.
	handle(mux, "GET /v1/search", s.Search != nil, s.search)
	// The same for the mail.SearchRequest in the body.
	handle(mux, "POST /v1/search", s.Search != nil, ordered(s.Search))
	// What each mailbox, ledger, index and queue is doing.
	handle(mux, "GET /v1/status", s.Status != nil, s.status)
	// The latest ?limit= sessions of the mailbox ?name=.
	handle(mux, "GET /v1/history", s.History != nil, s.history)
	// Looks at the mailbox ?name= on its server; with ?force=true whatever the
	// breaker says. It counts as a login, so it is no GET.
	handle(mux, "POST /v1/probe", s.Probe != nil, s.probe)
	// Resets the mailbox ?name=.
	handle(mux, "POST /v1/reset", s.Reset != nil, s.reset)
	// Places or releases the legal hold in the body.
	handle(mux, "POST /v1/hold", s.Hold != nil, ordered(s.Hold))
	// All matters that hold or held something.
	handle(mux, "GET /v1/matters", s.Matters != nil, s.matters)
	// Erases what the order in the body names.
	handle(mux, "POST /v1/erase", s.Erase != nil, ordered(s.Erase))
	// Reads again what the order in the body names; lines of its progress.
	handle(mux, "POST /v1/reparse", s.Reparse != nil, s.reparse)
	// Looks for the messages that the order in the body names.
	handle(mux, "POST /v1/recall", s.Recall != nil, ordered(s.Recall))
	// Position, size and digest of a view, for comparison with the ledger.
	handle(mux, "GET /v1/partitions/{p}/catalog", s.CatalogSummary != nil, summary(s.CatalogSummary))
	handle(mux, "GET /v1/partitions/{p}/index", s.IndexSummary != nil, summary(s.IndexSummary))
	// The positions of all documents, one decimal number a line.
	handle(mux, "GET /v1/partitions/{p}/index/documents", s.IndexDocuments != nil, s.documents)
	return mux
}

// Public returns the routes that may be served on TCP: liveness, readiness and
// Prometheus metrics.
func Public(healthz, readyz, metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", healthz)
	mux.Handle("GET /readyz", readyz)
	mux.Handle("GET /metrics", metrics)
	return mux
}

package configs

// Config is everything that an operator can set. The comment of each field is
// its documentation: reference.yaml is printed from this file, and a test keeps
// the two equal. Tags: koanf names the key; kind "path" marks a file name,
// kind "dir" a directory; enum lists the allowed words; default is the value
// of a key that nobody sets.
type Config struct {
	// Where the archive is kept and how its files are cut.
	Archive Archive `koanf:"archive"`
	// The log that lets others check the archive, and who vouches for it.
	Transparency Transparency `koanf:"transparency"`
	// Encryption of the archive at rest. Off, unless one of key_file, key_env and
	// vault.address names where the keys are kept: then all that is written from
	// then on is encrypted, and without that source the archive cannot be read.
	Encryption Encryption `koanf:"encryption"`
	// Where else sealed segments are kept, and for how long nobody can delete them.
	Store Store `koanf:"store"`
	// For how long mail of some kinds must not be erased.
	Retention Keeping `koanf:"retention"`
	// The store that backups may go to.
	Backup Backup `koanf:"backup"`
	// The verification that goes on while mailkeep runs.
	Verify Verify `koanf:"verify"`
	// The texts of documents that are attached to mail.
	Extract Extract `koanf:"extract"`
	// The message bus between workers; embedded unless a URL is given.
	NATS NATS `koanf:"nats"`
	// Number of shards of the mailboxes. Each owns one ledger and one index. It
	// is fixed when the archive is created.
	Partitions int `koanf:"partitions" default:"1"`
	// When and how hard mailboxes are polled.
	Poll Poll `koanf:"poll"`
	// Limits of one message.
	Message Message `koanf:"message"`
	// The listener for /healthz, /readyz and /metrics.
	HTTP HTTP `koanf:"http"`
	// What is logged and how. Logs go to standard error.
	Log Log `koanf:"log"`
	// Limits of one search.
	Search Search `koanf:"search"`
	// Clients that fetch tokens for mailboxes, by a name of your choice. A host or a
	// mailbox names one in "oauth".
	OAuth map[string]OAuthClient `koanf:"oauth"`
	// What the mailboxes of one server share, by a name of your choice. A mailbox
	// names it in "host".
	Hosts map[string]Host `koanf:"hosts"`
	// The mailboxes to drain.
	Mailboxes []Mailbox `koanf:"mailboxes"`
	// A YAML or CSV file with more mailboxes, for thousands of them. A YAML file
	// holds a list of the entries of "mailboxes"; a CSV file has a first line with
	// their keys.
	MailboxesFile string `koanf:"mailboxes_file" kind:"path"`

	// File is the configuration file that was read; empty if there was none.
	File string `koanf:"-"`
	// Warnings are faults that do not keep the program from starting.
	Warnings Faults `koanf:"-"`

	origins origins
	lookup  func(string) (string, bool)
}

// Archive is the section "archive".
type Archive struct {
	// Directory of ledger, catalog and index. In the container image it is /data.
	Dir string `koanf:"dir" kind:"dir" default:"./mailkeep-data"`
	// A segment of the ledger is sealed when it reaches this size.
	SegmentSize Size `koanf:"segment_size" default:"64MiB"`
	// auto: sealed segments get the immutable flag of the file system, which lets
	// nobody change, rename or remove them. It takes the capability
	// CAP_LINUX_IMMUTABLE; without it, or where the file system has no such flag,
	// status and log say so. off: they are read-only files.
	Immutable string `koanf:"immutable" enum:"auto,off" default:"off"`
}

// Encryption is the section "encryption".
type Encryption struct {
	// File of key encryption keys, made by "mailkeep keys generate", which only
	// mailkeep's user may read. New keys are written to it. Keep copies of it, apart
	// from the archive.
	KeyFile string `koanf:"key_file" kind:"path"`
	// Environment variable that holds one master key: the base64 of 32 random
	// octets. Keys cannot be destroyed then, so single messages cannot be erased.
	KeyEnv string `koanf:"key_env"`
	// The transit engine of HashiCorp Vault or OpenBao, which keeps the keys.
	Vault Vault `koanf:"vault"`
	// Public keys of those who get a copy of each key of the archive, separated by
	// commas: age1..., ssh-ed25519 ... or ssh-rsa .... What is in escrow cannot be erased.
	EscrowRecipients string `koanf:"escrow_recipients"`
}

// Vault is the section "encryption.vault".
type Vault struct {
	// Where it listens, such as https://vault.example.org:8200.
	Address string `koanf:"address"`
	// Path of the transit engine.
	Mount string `koanf:"mount" default:"transit"`
	// Beginning of the names of the archive's keys in the engine. Each archive needs
	// one of its own.
	Key string `koanf:"key" default:"mailkeep"`
	// File that holds the token. It is read for each request.
	TokenFile string `koanf:"token_file" kind:"path"`
	// Environment variable that holds it.
	TokenEnv string `koanf:"token_env"`
	// Certificate authorities, in PEM, for Vault. Empty: the system's.
	CAFile string `koanf:"ca_file" kind:"path"`
}

// Verify is the section "verify".
type Verify struct {
	// Each octet of the ledger is read and compared with its hashes once in this
	// time, and each header every day. What is found is in the log, the metrics and
	// mailkeep status. 0 switches it off.
	Every Duration `koanf:"every" default:"30d"`
	// How many octets are read in a second, at most.
	Rate Size `koanf:"rate" default:"16MiB"`
	// How many messages of each partition are read once a day and looked for in the
	// index by their own rare words. The result is in the log, the metrics and the
	// ledger. 0 switches it off.
	Drill int `koanf:"drill" default:"100"`
}

// Transparency is the section "transparency".
type Transparency struct {
	// Longest time until a sealed message is in a signed checkpoint.
	CheckpointInterval Duration `koanf:"checkpoint_interval" default:"1m"`
	// File of the private key that signs checkpoints. Empty: keys/checkpoint.key in
	// the archive's directory. It is made, of mode 0600, together with the archive.
	KeyFile string `koanf:"key_file" kind:"path"`
	// URLs of time stamp authorities (RFC 3161), separated by commas. Two of them, of
	// different operators, are good advice. Empty: none is asked.
	TSA string `koanf:"tsa"`
	// Certificate authorities, in PEM, that vouch for the time stamp authorities.
	// Empty: a stamp's signature is verified, and not who made it.
	TSACAFile string `koanf:"tsa_ca_file" kind:"path"`
	// How often checkpoints are stamped and witnessed, if there are new ones.
	AnchorInterval Duration `koanf:"anchor_interval" default:"1h"`
	// Witnesses that cosign checkpoints (c2sp.org/tlog-witness).
	Witnesses []Witness `koanf:"witnesses"`
}

// Witness is an entry of "witnesses".
type Witness struct {
	// URL that "/add-checkpoint" is put behind.
	URL string `koanf:"url"`
	// Public key of the witness, in the form NAME+HASH+KEY.
	VKey string `koanf:"vkey"`
}

// NATS is the section "nats".
type NATS struct {
	// Servers of an external NATS cluster, 2.14.6 or later, separated by commas,
	// such as tls://nats.example.org:4222. Empty: a server is embedded.
	URL string `koanf:"url"`
	// Credentials file (.creds) for the external cluster.
	CredentialsFile string `koanf:"credentials_file" kind:"path"`
	// Certificate authorities, in PEM, for the external cluster. Empty: the system's.
	CAFile string `koanf:"ca_file" kind:"path"`
	// Client certificate, in PEM, for the external cluster.
	CertFile string `koanf:"cert_file" kind:"path"`
	// Private key, in PEM, of the client certificate.
	KeyFile string `koanf:"key_file" kind:"path"`
	// Most that the embedded server stores on disk.
	MaxStore Size `koanf:"max_store" default:"4GiB"`
	// Most octets that wait for the archive. When they do, polling pauses.
	QueueBytes Size `koanf:"queue_bytes" default:"1GiB"`
	// Whether mail is handed over in memory where poller and archive are in one
	// process with the embedded server, which takes a quarter less processor time.
	// false: each message is published to the queue and stored there.
	HandOver bool `koanf:"hand_over" default:"true"`
	// Copies that an external cluster keeps of the queue: 1, 3 or 5.
	Replicas int `koanf:"replicas" default:"1"`
	// Life of a worker's claim on a mailbox when the worker has died. Another one
	// takes over at most 15 s after it.
	Lease Duration `koanf:"lease" default:"40s"`
}

// Poll is the section "poll". Hosts and mailboxes override what they repeat.
type Poll struct {
	// Time between two polls of a mailbox.
	Interval Duration `koanf:"interval" default:"15m"`
	// Times of polls as a cron expression, in place of interval, such as
	// "*/15 8-18 * * MON-FRI". Empty: interval counts.
	Schedule string `koanf:"schedule"`
	// Time zone of schedule by its IANA name, such as Europe/Berlin. Default: UTC.
	Timezone string `koanf:"timezone"`
	// Share in percent, 0 to 50, by which polls are moved at random: either way
	// with interval, to a later time with schedule.
	Jitter int `koanf:"jitter" default:"10"`
	// Most octets that are fetched from one mailbox within 24 hours; 0 is no limit.
	// The mailbox then rests until the oldest of them are 24 hours old. The last
	// message may go beyond.
	DailyLimit Size `koanf:"daily_limit" default:"0"`
	// Most sessions that one worker holds open at a time.
	MaxSessions int `koanf:"max_sessions" default:"32"`
	// Most sessions of one worker to one host at a time.
	PerHost int `koanf:"per_host" default:"4"`
	// Most logins of one worker to one host in a minute.
	LoginsPerMinute int `koanf:"logins_per_minute" default:"30"`
	// RETR commands sent ahead of their answers.
	Window int `koanf:"window" default:"32"`
	// Most messages of one session.
	BatchMessages int `koanf:"batch_messages" default:"2000"`
	// Most octets of one session.
	BatchSize Size `koanf:"batch_size" default:"256MiB"`
	// Longest download phase of one session.
	BatchTime Duration `koanf:"batch_time" default:"5m"`
	// What happens on the server to a message that the archive has sealed: it is
	// deleted at once, when delete_age has passed, or never. The latter two need a
	// server with UIDL.
	Delete string `koanf:"delete" enum:"after-seal,after-age,never" default:"after-seal"`
	// For delete: after-age. How long the archive must have had a message. It does
	// not start anew when the server gives the message another unique-id. After a
	// jump of the clock, or time in which nothing was polled, it may take longer.
	DeleteAge Duration `koanf:"delete_age" default:"30d"`
	// What happens to a message that always comes shorter than the server
	// announces. delete: it is deleted once the same bytes came three times over a
	// day or more, and are sealed as suspect; what is missing is lost for good.
	OnShort string `koanf:"on_short" enum:"keep,delete" default:"keep"`
	// When the mailbox's breaker opens, after which nothing is deleted until it is
	// reset or the reason is gone: if more messages of a session than this are in
	// doubt. A message is in doubt if the server shows another one under its
	// unique-id than is sealed, or if the catalog, asked again before more than
	// this are deleted at once, does not know its receipt.
	MaxDoubt int `koanf:"max_doubt" default:"50"`
	// The breaker opens too if more than five messages, and more than this share in
	// percent of those compared, are in doubt.
	MaxDoubtPercent int `koanf:"max_doubt_percent" default:"20"`
	// How long sessions in flight may finish when the program is told to stop.
	StopGrace Duration `koanf:"stop_grace" default:"20s"`
}

// Message is the section "message".
type Message struct {
	// Largest message that is fetched. A larger one stays on the server and is reported.
	MaxSize Size `koanf:"max_size" default:"256MiB"`
}

// HTTP is the section "http".
type HTTP struct {
	// host:port to listen on, such as 127.0.0.1:8025 or :8025. Empty: off. There
	// is no authentication: do not expose it.
	Listen string `koanf:"listen"`
	// Whether /metrics has series for each mailbox, some twenty of them. auto: up
	// to 1000 mailboxes. Those of hosts, which sum them up, are always there.
	MailboxMetrics string `koanf:"mailbox_metrics" enum:"auto,on,off" default:"auto"`
}

// Log is the section "log".
type Log struct {
	// Form of the log lines.
	Format string `koanf:"format" enum:"text,json" default:"text"`
	// Least severity that is logged.
	Level string `koanf:"level" enum:"debug,info,warn,error" default:"info"`
}

// Search is the section "search".
type Search struct {
	// Most hits of one page.
	MaxLimit int `koanf:"max_limit" default:"200"`
	// Longest that one search may take.
	Timeout Duration `koanf:"timeout" default:"30s"`
	// Program that is run when new mail is found by a saved search that has an alert.
	// It gets JSON on its standard input and no arguments, and no shell is between. It
	// is run again until it exits with 0. Empty: the log and the metrics tell alone.
	AlertProgram string `koanf:"alert_program" kind:"path"`
	// Longest that it may run.
	AlertTimeout Duration `koanf:"alert_timeout" default:"30s"`
}

// OAuthClient is an entry of "oauth" (RFC 6749).
type OAuthClient struct {
	// How tokens are fetched: client-credentials for the client itself, one for all
	// its mailboxes; refresh-token with a token of each mailbox, by which a person
	// once allowed it. Default: client-credentials.
	Flow string `koanf:"flow" enum:"client-credentials,refresh-token"`
	// Where tokens are fetched, such as
	// https://login.microsoftonline.com/TENANT/oauth2/v2.0/token.
	TokenURL string `koanf:"token_url"`
	// Name of the client at the token server.
	ClientID string `koanf:"client_id"`
	// File that holds the client's secret.
	ClientSecretFile string `koanf:"client_secret_file" kind:"path"`
	// Environment variable that holds it.
	ClientSecretEnv string `koanf:"client_secret_env"`
	// How the client names itself: in the body of the request, or by HTTP Basic.
	// Default: post.
	ClientAuth string `koanf:"client_auth" enum:"post,basic"`
	// What the token is for, separated by spaces, such as
	// https://outlook.office365.com/.default. Used by client-credentials.
	Scopes string `koanf:"scopes"`
	// Certificate authorities, in PEM, for the token server. Empty: the system's.
	CAFile string `koanf:"ca_file" kind:"path"`
}

// Host is an entry of "hosts". What is not set is taken from "poll".
type Host struct {
	// host or host:port of the server. The port is 995, or 110 where security is
	// stls or plain.
	Address string `koanf:"address"`
	// How the connection is protected: TLS from the first octet, STLS (RFC 2595),
	// or nothing. Default: tls.
	Security string `koanf:"security" enum:"tls,stls,plain"`
	// Agrees to sending passwords and mail in the clear. Needed by security: plain.
	AllowPlain bool `koanf:"allow_plain"`
	// Certificate authorities, in PEM, for this server. Empty: the system's.
	CAFile string `koanf:"ca_file" kind:"path"`
	// SHA-256 of public keys, in base64, separated by spaces: one of them must be in
	// the server's verified chain. Name the next key too, before it is used.
	TLSPins string `koanf:"tls_pins"`
	// Client certificate, in PEM, for servers that want one.
	ClientCertFile string `koanf:"client_cert_file" kind:"path"`
	// Private key, in PEM, of the client certificate.
	ClientKeyFile string `koanf:"client_key_file" kind:"path"`
	// Proxy to the server: socks5://[user@]host:port, or http://[user@]host:port for
	// CONNECT. It looks up the server's name.
	Proxy string `koanf:"proxy"`
	// File that holds the password of the proxy's user.
	ProxyPasswordFile string `koanf:"proxy_password_file" kind:"path"`
	// Environment variable that holds it.
	ProxyPasswordEnv string `koanf:"proxy_password_env"`
	// How to log in. auto: by what the server announces, SCRAM-SHA-256 before PLAIN
	// before USER and PASS, or OAUTHBEARER before XOAUTH2 where "oauth" is set. No
	// second way is tried when one is refused. apop needs tls or stls. Default: auto.
	Auth string `koanf:"auth" enum:"auto,user-pass,apop,plain,scram-sha-256,xoauth2,oauthbearer"`
	// A key of "oauth": log in with its tokens in place of a password.
	OAuth string `koanf:"oauth"`
	// Time between two polls of a mailbox.
	Interval Duration `koanf:"interval"`
	// Times of polls as a cron expression, in place of interval.
	Schedule string `koanf:"schedule"`
	// Time zone of schedule by its IANA name.
	Timezone string `koanf:"timezone"`
	// Most octets that are fetched from one mailbox within 24 hours. Gmail allows
	// 1250 MB; 1GiB keeps a distance.
	DailyLimit Size `koanf:"daily_limit"`
	// Most sessions of one worker to this host at a time.
	PerHost int `koanf:"per_host"`
	// Most logins of one worker to this host in a minute.
	LoginsPerMinute int `koanf:"logins_per_minute"`
	// RETR commands sent ahead of their answers.
	Window int `koanf:"window"`
	// Most messages of one session.
	BatchMessages int `koanf:"batch_messages"`
	// Most octets of one session.
	BatchSize Size `koanf:"batch_size"`
	// What happens on the server to a message that the archive has sealed.
	Delete string `koanf:"delete" enum:"after-seal,after-age,never"`
	// How long the archive must have had a message, for delete: after-age.
	DeleteAge Duration `koanf:"delete_age"`
	// What happens to a message that always comes shorter than announced.
	OnShort string `koanf:"on_short" enum:"keep,delete"`
	// Messages of a session that may be in doubt before nothing is deleted any more.
	MaxDoubt int `koanf:"max_doubt"`
	// Share in percent of those compared that may be in doubt.
	MaxDoubtPercent int `koanf:"max_doubt_percent"`
	// How the server is special. gmail: it hides from later sessions what was
	// fetched, whatever is deleted, and lists some 250 messages at a time. As with
	// retr_consuming; sessions follow one another until nothing is listed.
	Profile string `koanf:"profile" enum:"gmail"`
	// The server ends lines with LF alone, against RFC 1939.
	LFOnly bool `koanf:"lf_only"`
	// The server loses commands that are sent ahead of answers.
	NoPipelining bool `koanf:"no_pipelining"`
	// The server removes a message once it was fetched (EXPIRE 0), whatever the
	// client says. No session is closed by QUIT while a message is unsealed.
	RetrConsuming bool `koanf:"retr_consuming"`
}

// Mailbox is an entry of "mailboxes". What is not set is taken from its host,
// then from "poll".
type Mailbox struct {
	// Name in the archive, in searches and in reports. Unique; it must never be
	// given to another mailbox.
	Name string `koanf:"name"`
	// A key of "hosts", or host or host:port of the server.
	Host string `koanf:"host"`
	// Login name. Default: the name.
	User string `koanf:"user"`
	// File that holds the password.
	PasswordFile string `koanf:"password_file" kind:"path"`
	// Environment variable that holds the password.
	PasswordEnv string `koanf:"password_env"`
	// How to log in. auto: by what the server announces, SCRAM-SHA-256 before PLAIN
	// before USER and PASS, or OAUTHBEARER before XOAUTH2 where "oauth" is set. No
	// second way is tried when one is refused. apop needs tls or stls. Default: as the host, else auto.
	Auth string `koanf:"auth" enum:"auto,user-pass,apop,plain,scram-sha-256,xoauth2,oauthbearer"`
	// A key of "oauth": log in with its tokens in place of a password. Default: as
	// the host, unless the mailbox has a password.
	OAuth string `koanf:"oauth"`
	// File that holds the refresh token, for clients whose flow is refresh-token.
	RefreshTokenFile string `koanf:"refresh_token_file" kind:"path"`
	// Environment variable that holds it.
	RefreshTokenEnv string `koanf:"refresh_token_env"`
	// Writes a refresh token that the token server has replaced to
	// refresh_token_file. Otherwise it lives in memory, and the one in the file must
	// still be good at the next start.
	KeepRefreshToken bool `koanf:"keep_refresh_token"`
	// How the connection is protected. Default: as the host, else tls.
	Security string `koanf:"security" enum:"tls,stls,plain"`
	// Agrees to sending passwords and mail in the clear. Needed by security: plain.
	AllowPlain bool `koanf:"allow_plain"`
	// Certificate authorities, in PEM, for this server. Empty: the system's.
	CAFile string `koanf:"ca_file" kind:"path"`
	// SHA-256 of public keys, in base64, separated by spaces: one of them must be in
	// the server's verified chain. Name the next key too, before it is used.
	TLSPins string `koanf:"tls_pins"`
	// Client certificate, in PEM, for servers that want one.
	ClientCertFile string `koanf:"client_cert_file" kind:"path"`
	// Private key, in PEM, of the client certificate.
	ClientKeyFile string `koanf:"client_key_file" kind:"path"`
	// Proxy to the server: socks5://[user@]host:port, or http://[user@]host:port for
	// CONNECT. It looks up the server's name. none: without the proxy of the host.
	Proxy string `koanf:"proxy"`
	// File that holds the password of the proxy's user.
	ProxyPasswordFile string `koanf:"proxy_password_file" kind:"path"`
	// Environment variable that holds it.
	ProxyPasswordEnv string `koanf:"proxy_password_env"`
	// Time between two polls.
	Interval Duration `koanf:"interval"`
	// Times of polls as a cron expression, in place of interval.
	Schedule string `koanf:"schedule"`
	// Time zone of schedule by its IANA name.
	Timezone string `koanf:"timezone"`
	// Most octets that are fetched within 24 hours.
	DailyLimit Size `koanf:"daily_limit"`
	// RETR commands sent ahead of their answers.
	Window int `koanf:"window"`
	// Most messages of one session.
	BatchMessages int `koanf:"batch_messages"`
	// Most octets of one session.
	BatchSize Size `koanf:"batch_size"`
	// What happens on the server to a message that the archive has sealed.
	Delete string `koanf:"delete" enum:"after-seal,after-age,never"`
	// How long the archive must have had a message, for delete: after-age.
	DeleteAge Duration `koanf:"delete_age"`
	// What happens to a message that always comes shorter than announced.
	OnShort string `koanf:"on_short" enum:"keep,delete"`
	// Messages of a session that may be in doubt before nothing is deleted any more.
	MaxDoubt int `koanf:"max_doubt"`
	// Share in percent of those compared that may be in doubt.
	MaxDoubtPercent int `koanf:"max_doubt_percent"`
	// How the server is special, as "profile" of hosts.
	Profile string `koanf:"profile" enum:"gmail"`
	// What the mailbox receives. journal: journal reports of Exchange or Microsoft
	// 365. The message in a report is then the one that is shown and searched, and
	// its recipients are those that the report names, Bcc included. Only a mailbox to
	// which nobody but the server can send may be marked so: a sender can write a
	// report too. After a change, "mailkeep reparse --mailbox NAME". Default: ordinary.
	Mode string `koanf:"mode" enum:"ordinary,journal"`
	// Where the mail of a mailbox that gathers that of many says whom it was for.
	Envelope Envelope `koanf:"envelope"`

	secret Secret
	key    string // "mailboxes[3]", or "" plus file for one of the mailboxes file
}

package configs

import (
	"cmp"
	"slices"
	"strings"
)

// The words of "auth", "flow" and "client_auth".
const (
	AuthAuto        = "auto"
	AuthUserPass    = "user-pass"
	AuthAPOP        = "apop"
	AuthPlain       = "plain"
	AuthScramSHA256 = "scram-sha-256"
	AuthXOAuth2     = "xoauth2"
	AuthOAuthBearer = "oauthbearer"

	FlowClientCredentials = "client-credentials"
	FlowRefreshToken      = "refresh-token"

	clientAuthBasic = "basic"
)

// noProxy in the place of a proxy means none, whatever the host says.
const noProxy = "none"

// Access is how a mailbox is reached and entered, as part of a ResolvedMailbox.
type Access struct {
	// Auth is one of the constants Auth*; with OAuth, AuthAuto or one of tokens,
	// else AuthAuto or one of passwords.
	Auth string
	// OAuth is the key of Config.ResolveOAuth whose tokens the mailbox logs in
	// with; empty: with its password.
	OAuth string
	// RefreshToken is set where the flow of the client is FlowRefreshToken, and
	// RefreshTokenFile if it is to be rewritten by a replaced one.
	RefreshToken     Secret
	RefreshTokenFile string

	TLSPins        []string // base64 of SHA-256 of a SubjectPublicKeyInfo
	ClientCertFile string   // set together with ClientKeyFile, or not at all
	ClientKeyFile  string
	Proxy          string // a URL without password; empty: none
	ProxyPassword  Secret // zero: none
}

// A ResolvedOAuth is an entry of "oauth" with its defaults applied.
type ResolvedOAuth struct {
	Flow     string // FlowClientCredentials or FlowRefreshToken
	TokenURL string
	ClientID string
	Secret   Secret // zero for a public client
	Basic    bool   // the client names itself by HTTP Basic
	Scopes   []string
	CAFile   string // empty: the system's authorities
}

// ResolveOAuth returns the entries of "oauth" by name.
func (c *Config) ResolveOAuth() map[string]ResolvedOAuth {
	all := make(map[string]ResolvedOAuth, len(c.OAuth))
	for name, o := range c.OAuth {
		all[name] = ResolvedOAuth{
			Flow: cmp.Or(o.Flow, FlowClientCredentials), TokenURL: o.TokenURL, ClientID: o.ClientID,
			Secret: c.secretIn(o.ClientSecretFile, o.ClientSecretEnv), Basic: o.ClientAuth == clientAuthBasic,
			Scopes: strings.Fields(o.Scopes), CAFile: o.CAFile,
		}
	}
	return all
}

// access returns how m is reached and entered.
func (c *Config) access(m *Mailbox, h Host) Access {
	a := Access{OAuth: c.oauthOf(m, h), TLSPins: pins(cmp.Or(m.TLSPins, h.TLSPins))}
	a.Auth = cmp.Or(m.Auth, AuthAuto)
	if m.Auth == "" && fits(h.Auth, a.OAuth != "") {
		a.Auth = cmp.Or(h.Auth, AuthAuto)
	}
	if a.OAuth != "" && c.OAuth[a.OAuth].Flow == FlowRefreshToken {
		a.RefreshToken = c.secretIn(m.RefreshTokenFile, m.RefreshTokenEnv)
		if m.KeepRefreshToken {
			a.RefreshTokenFile = m.RefreshTokenFile
		}
	}
	a.ClientCertFile, a.ClientKeyFile = h.ClientCertFile, h.ClientKeyFile
	if m.ClientCertFile != "" {
		a.ClientCertFile, a.ClientKeyFile = m.ClientCertFile, m.ClientKeyFile
	}
	switch {
	case m.Proxy == noProxy || m.Proxy == "" && h.Proxy == noProxy:
	case m.Proxy != "":
		a.Proxy, a.ProxyPassword = m.Proxy, c.secretIn(m.ProxyPasswordFile, m.ProxyPasswordEnv)
	case h.Proxy != "":
		a.Proxy, a.ProxyPassword = h.Proxy, c.secretIn(h.ProxyPasswordFile, h.ProxyPasswordEnv)
	}
	return a
}

// oauthOf returns the client whose tokens m logs in with; empty if it has a
// password of its own, or if there is no client.
func (c *Config) oauthOf(m *Mailbox, h Host) string {
	if m.OAuth == "" && (m.PasswordFile != "" || m.PasswordEnv != "") {
		return ""
	}
	return cmp.Or(m.OAuth, h.OAuth)
}

// fits reports whether a mechanism is one for tokens, or for passwords.
func fits(auth string, tokens bool) bool {
	switch auth {
	case "", AuthAuto:
		return true
	case AuthXOAuth2, AuthOAuthBearer:
		return tokens
	}
	return !tokens
}

// pins splits a list of pins.
func pins(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ' ' || r == ',' })
}

// secretIn returns the secret in a file or an environment variable; zero if
// neither is named.
func (c *Config) secretIn(file, env string) Secret {
	switch {
	case file != "":
		return SecretFile(file)
	case env != "":
		return SecretEnv(env, c.lookup)
	}
	return Secret{}
}

// secretEnv returns the environment variables that hold secrets.
func (c *Config) secretEnv() []string {
	names := []string{c.Encryption.KeyEnv, c.Encryption.Vault.TokenEnv, c.Store.S3.AccessKeyEnv, c.Store.S3.SecretKeyEnv}
	for _, o := range c.OAuth {
		names = append(names, o.ClientSecretEnv)
	}
	for _, h := range c.Hosts {
		names = append(names, h.ProxyPasswordEnv)
	}
	for i := range c.Mailboxes {
		m := &c.Mailboxes[i]
		names = append(names, m.PasswordEnv, m.RefreshTokenEnv, m.ProxyPasswordEnv)
	}
	return slices.DeleteFunc(names, func(s string) bool { return s == "" })
}

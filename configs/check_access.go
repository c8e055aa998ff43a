package configs

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
)

// oauth checks the entries of "oauth".
func (k *checking) oauth() {
	for _, name := range slices.Sorted(maps.Keys(k.config.OAuth)) {
		o, key := k.config.OAuth[name], join("oauth", name)
		k.tokenURL(key, o.TokenURL)
		if o.ClientID == "" {
			k.fault(join(key, "client_id"), "is missing", "write the name that the token server knows the client by")
		}
		s := k.secret(key, "client_secret", o.ClientSecretFile, o.ClientSecretEnv)
		if s.IsZero() && o.Flow != FlowRefreshToken && !k.broken[join(key, "flow")] && !k.broken[join(key, "client_secret")] {
			k.fault(join(key, "client_secret_file"), "the client has no secret", "set client_secret_file or client_secret_env")
		}
		k.authorities(join(key, "ca_file"), o.CAFile)
	}
}

// tokenURL refuses what would send a secret in the clear.
func (k *checking) tokenURL(key, text string) {
	key = join(key, "token_url")
	u, err := url.Parse(text)
	switch {
	case text == "":
		k.fault(key, "is missing", "write the URL at which the provider gives tokens")
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		k.fault(key, "is not a URL without user and fragment", "write https://host/path")
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		k.fault(key, "would send the client's secret in the clear", "write https://")
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// reach are the keys about the way to a server that hosts and mailboxes share.
type reach struct {
	pins, cert, key                    string
	proxy, proxyPassFile, proxyPassEnv string
	security                           string // as it turns out, or ""
}

func (k *checking) hostAccess(key string, h Host) {
	k.reach(key, reach{h.TLSPins, h.ClientCertFile, h.ClientKeyFile, h.Proxy, h.ProxyPasswordFile, h.ProxyPasswordEnv, h.Security})
	if h.OAuth != "" {
		k.client(join(key, "oauth"), h.OAuth, h.Security)
		if !fits(h.Auth, true) {
			k.fault(join(key, "auth"), h.Auth+" is for passwords, and oauth is set", "remove one of them, or set it at the mailboxes")
		}
	}
	if h.Auth == AuthAPOP && h.Security == SecurityPlain {
		k.fault(join(key, "auth"), "apop without TLS gives the password away", "use tls or stls, or another mechanism")
	}
}

func (k *checking) mailboxAccess(m *Mailbox, h Host) {
	security := cmp.Or(m.Security, h.Security, SecurityTLS)
	k.reach(m.key, reach{m.TLSPins, m.ClientCertFile, m.ClientKeyFile, m.Proxy, m.ProxyPasswordFile, m.ProxyPasswordEnv, security})
	oauth := k.config.oauthOf(m, h)
	switch {
	case m.OAuth != "" && (m.PasswordFile != "" || m.PasswordEnv != ""):
		k.fault(join(m.key, "oauth"), "the mailbox has a password too", "remove one of them")
	case !fits(m.Auth, oauth != "") && oauth != "":
		k.fault(join(m.key, "auth"), m.Auth+" is for passwords, and the mailbox has tokens", "remove it, or the oauth of the mailbox or its host")
	case !fits(m.Auth, oauth != ""):
		k.fault(join(m.key, "auth"), m.Auth+" needs tokens", "name an entry of oauth in the mailbox's oauth")
	}
	if m.OAuth != "" || oauth != "" && m.Security != "" {
		k.client(join(m.key, "oauth"), oauth, security)
	}
	if cmp.Or(m.Auth, h.Auth) == AuthAPOP && security == SecurityPlain {
		k.fault(join(m.key, "auth"), "apop without TLS gives the password away", "use tls or stls, or another mechanism")
	}
	k.refreshToken(m, oauth)
}

// client checks that an entry of "oauth" exists and that its tokens are not sent
// in the clear.
func (k *checking) client(key, name, security string) {
	if _, ok := k.config.OAuth[name]; !ok {
		hint := "add it to the section oauth"
		if near := nearest(name, slices.Sorted(maps.Keys(k.config.OAuth))); near != "" {
			hint = fmt.Sprintf("did you mean %s?", near)
		}
		k.fault(key, "oauth has no entry "+quote(name), hint)
	}
	if security == SecurityPlain {
		k.fault(key, "tokens are not sent over a plain connection", "use tls or stls")
	}
}

// refreshToken checks the refresh token of m, which it needs where the flow of
// its client says so and nowhere else.
func (k *checking) refreshToken(m *Mailbox, oauth string) {
	client, known := k.config.OAuth[oauth]
	key := join(m.key, "refresh_token_file")
	s := k.secret(m.key, "refresh_token", m.RefreshTokenFile, m.RefreshTokenEnv)
	switch needs := client.Flow == FlowRefreshToken; {
	case oauth != "" && !known: // that is fault enough
	case needs && s.IsZero():
		k.fault(key, "the mailbox has no refresh token, which "+quote(oauth)+" needs", "set refresh_token_file or refresh_token_env")
	case !needs && m.RefreshTokenFile != "":
		k.fault(key, "has no meaning without an oauth client whose flow is refresh-token", "remove it, or name such a client")
	case !needs && m.RefreshTokenEnv != "":
		k.fault(join(m.key, "refresh_token_env"), "has no meaning without an oauth client whose flow is refresh-token", "remove it, or name such a client")
	}
	if m.KeepRefreshToken && m.RefreshTokenFile == "" {
		k.fault(join(m.key, "keep_refresh_token"), "there is no file to keep it in", "set refresh_token_file")
	}
}

func (k *checking) reach(key string, r reach) {
	k.pins(key, r)
	k.clientCertificate(key, r)
	k.proxy(key, r)
}

func (k *checking) pins(key string, r reach) {
	key = join(key, "tls_pins")
	all := pins(r.pins)
	for _, p := range all {
		b, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(p, "sha256/"))
		if err != nil || len(b) != sha256.Size {
			k.fault(key, quote(p)+" is not a pin", "a pin is the base64 of the SHA-256 of a SubjectPublicKeyInfo: 44 characters")
		}
	}
	switch {
	case len(all) == 0:
	case r.security == SecurityPlain:
		k.fault(key, "a plain connection has no keys to pin", "use tls or stls")
	case len(all) == 1:
		k.warn(key, "there is one pin: the day that the key changes, nothing is drained", "add the pin of the key that will follow, or of an authority")
	}
}

func (k *checking) clientCertificate(key string, r reach) {
	certKey, keyKey := join(key, "client_cert_file"), join(key, "client_key_file")
	switch {
	case r.cert == "" && r.key == "":
		return
	case r.cert == "":
		k.fault(keyKey, "certificate and key are needed together", "set client_cert_file too")
		return
	case r.key == "":
		k.fault(certKey, "certificate and key are needed together", "set client_key_file too")
		return
	case r.security == SecurityPlain:
		k.fault(certKey, "has no meaning on a plain connection", "use tls or stls")
	}
	cert := k.readable(certKey, r.cert)
	if k.sources.SkipSecrets {
		return
	}
	private := k.readable(keyKey, r.key)
	if cert == nil || private == nil {
		return
	}
	if _, err := tls.X509KeyPair(cert, private); err != nil {
		k.fault(certKey, quote(r.cert)+" and its key do not make a certificate: "+clip(strings.TrimPrefix(err.Error(), "tls: ")), "name a certificate and its key, in PEM")
	}
	k.secretMode(keyKey, r.key)
}

func (k *checking) proxy(key string, r reach) {
	proxyKey := join(key, "proxy")
	password := "proxy_password_file"
	if r.proxyPassFile == "" {
		password = "proxy_password_env"
	}
	s := k.secret(key, "proxy_password", r.proxyPassFile, r.proxyPassEnv)
	user, p := proxyUser(r.proxy)
	switch {
	case p != nil:
		k.fault(proxyKey, p.text, p.hint)
	case user == "" && !s.IsZero():
		k.fault(join(key, password), "the proxy has no user whose password it could be", "name the user in proxy: socks5://user@host:port")
	case user != "" && s.IsZero():
		k.fault(proxyKey, "the user of the proxy has no password", "set proxy_password_file or proxy_password_env")
	}
}

// proxyUser reads the URL of a proxy, if it is one, and returns its user. What
// is wrong is told without the text, which may hold a password.
func proxyUser(text string) (string, *problem) {
	if text == "" || text == noProxy {
		return "", nil
	}
	const form = "write socks5://host:port or http://host:port, with user@ before the host where it asks for a password"
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "socks5" && u.Scheme != "http" {
		return "", &problem{"is not the URL of a proxy", form}
	}
	_, hasPassword := u.User.Password()
	_, port, p := splitAddress(u.Host)
	switch {
	case hasPassword:
		return "", &problem{"a password must not stand in the configuration", "put it into a file or an environment variable and name that in proxy_password_file or proxy_password_env"}
	case p != nil || port == "":
		return "", &problem{"has no host:port", form}
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return "", &problem{"has more behind the port", form}
	}
	return u.User.Username(), nil
}

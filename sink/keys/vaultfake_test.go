package keys_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A transit is a server with the part of Vault's transit engine that is used,
// as its API documentation says: paths, fields, statuses and rules.
type transit struct {
	t      testing.TB
	server *httptest.Server

	mu       sync.Mutex
	keys     map[string]*transitKey
	token    string
	sealed   bool
	denied   []string // suffixes of paths that the token may not update
	requests []string
	// tamper may change an answer; nil: none.
	tamper func(path string, status int, data any) (int, any)
	// refuse says, before a request is carried out, that it is not; nil: none.
	refuse func() bool
}

type transitKey struct {
	typ                                        string
	derived, exportable                        bool
	secrets                                    map[int][]byte
	latest, minDecrypt, minEncrypt, minPresent int
}

func newTransit(t testing.TB) *transit {
	t.Helper()
	v := &transit{t: t, keys: map[string]*transitKey{}, token: "s.token"}
	v.server = httptest.NewTLSServer(v)
	t.Cleanup(v.server.Close)
	return v
}

// pem returns the certificate of the server.
func (v *transit) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: v.server.Certificate().Raw})
}

func (v *transit) tokenNow(context.Context) (string, error) { return "s.token", nil }

func (v *transit) do(f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f()
}

// ServeHTTP implements http.Handler.
func (v *transit) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	v.requests = append(v.requests, r.Method+" "+path)
	status, data := http.StatusBadGateway, any(transitErrors{"refused"})
	if v.refuse == nil || !v.refuse() {
		status, data = v.serve(r, path)
	}
	if v.tamper != nil {
		status, data = v.tamper(path, status, data)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if status == http.StatusNoContent {
		return
	}
	body := map[string]any{"request_id": "1", "data": data}
	if e, ok := data.(transitErrors); ok {
		body = map[string]any{"errors": []string(e)}
	}
	if err := json.NewEncoder(w).Encode(body); err != nil {
		v.t.Error(err)
	}
}

type transitErrors []string

func invalid(format string, args ...any) (int, any) {
	return http.StatusBadRequest, transitErrors{fmt.Sprintf(format, args...)}
}

type transitItem struct {
	Plaintext  string `json:"plaintext"`
	Ciphertext string `json:"ciphertext"`
	Context    string `json:"context"`
	KeyVersion int    `json:"key_version"`
}

type transitInput struct {
	transitItem
	Batch         []transitItem `json:"batch_input"`
	Type          string        `json:"type"`
	Derived       bool          `json:"derived"`
	MinDecryption *int          `json:"min_decryption_version"`
	MinEncryption *int          `json:"min_encryption_version"`
	MinAvailable  *int          `json:"min_available_version"`
	Paths         []string      `json:"paths"`
}

func (v *transit) serve(r *http.Request, path string) (int, any) {
	switch {
	case v.sealed:
		return http.StatusServiceUnavailable, transitErrors{"Vault is sealed"}
	case r.Header.Get("X-Vault-Token") != v.token:
		return http.StatusForbidden, transitErrors{"2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"}
	}
	var in transitInput
	if r.Method == http.MethodPost {
		if r.ContentLength != 0 && json.NewDecoder(r.Body).Decode(&in) != nil {
			return invalid("error parsing JSON")
		}
	}
	if path == "sys/capabilities-self" {
		return v.capabilities(in.Paths)
	}
	rest, ok := strings.CutPrefix(path, "transit/")
	if !ok {
		return http.StatusNotFound, transitErrors{fmt.Sprintf("no handler for route %q. route entry not found.", path)}
	}
	if r.Method == http.MethodPost && slices.ContainsFunc(v.denied, func(s string) bool { return strings.HasSuffix(path, s) }) {
		return http.StatusForbidden, transitErrors{"1 error occurred:\n\t* permission denied\n\n"}
	}
	return v.route(r.Method, strings.Split(rest, "/"), in)
}

func (v *transit) capabilities(paths []string) (int, any) {
	out := map[string]any{"capabilities": []string{"update"}}
	for _, p := range paths {
		out[p] = []string{"update"}
		if slices.ContainsFunc(v.denied, func(s string) bool { return strings.HasSuffix(p, s) }) {
			out[p] = []string{"deny"}
		}
	}
	return http.StatusOK, out
}

func (v *transit) route(method string, parts []string, in transitInput) (int, any) {
	if len(parts) < 2 {
		return http.StatusNotFound, transitErrors{}
	}
	name := parts[1]
	k := v.keys[name]
	switch op := parts[0] + strings.Join(append([]string{""}, parts[2:]...), "/"); {
	case op == "keys" && method == http.MethodGet:
		if k == nil {
			return http.StatusNotFound, transitErrors{}
		}
		return http.StatusOK, k.describe(name)
	case op == "keys":
		if k == nil {
			v.keys[name] = &transitKey{typ: in.Type, derived: in.Derived, secrets: map[int][]byte{}, minDecrypt: 1}
			v.keys[name].rotate()
		}
		return http.StatusOK, v.keys[name].describe(name)
	case k == nil:
		return invalid("encryption key not found")
	case op == "keys/rotate":
		k.rotate()
		return http.StatusNoContent, nil
	case op == "keys/config":
		return k.config(in)
	case op == "keys/trim":
		return k.trim(in)
	case in.Batch != nil:
		return k.batch(op, in.Batch)
	}
	out, text := k.one(parts[0], in.transitItem)
	if text != "" {
		return invalid("%s", text)
	}
	return http.StatusOK, out
}

func (k *transitKey) describe(name string) map[string]any {
	created := map[string]int64{}
	for n := range k.secrets {
		created[strconv.Itoa(n)] = 1700000000
	}
	return map[string]any{
		"name": name, "type": k.typ, "derived": k.derived, "exportable": k.exportable, "allow_plaintext_backup": false,
		"keys": created, "latest_version": k.latest, "min_decryption_version": k.minDecrypt,
		"min_encryption_version": k.minEncrypt, "min_available_version": k.minPresent, "supports_encryption": true,
	}
}

func (k *transitKey) rotate() {
	k.latest++
	secret := make([]byte, 32)
	rand.Read(secret)
	k.secrets[k.latest] = secret
}

func (k *transitKey) config(in transitInput) (int, any) {
	decrypt, encrypt := k.minDecrypt, k.minEncrypt
	if in.MinDecryption != nil {
		decrypt = *in.MinDecryption
	}
	if in.MinEncryption != nil {
		encrypt = *in.MinEncryption
	}
	switch {
	case decrypt > k.latest:
		return invalid("cannot set min decryption version of %d, latest key version is %d", decrypt, k.latest)
	case encrypt > k.latest:
		return invalid("cannot set min encryption version of %d, latest key version is %d", encrypt, k.latest)
	case encrypt > 0 && encrypt < decrypt:
		return invalid("cannot set min encryption/decryption values; min encryption version of %d must be greater than or equal to min decryption version of %d", encrypt, decrypt)
	case decrypt < k.minPresent:
		return invalid("min decryption version should not be less then min available version")
	}
	k.minDecrypt, k.minEncrypt = decrypt, encrypt
	return http.StatusOK, nil
}

func (k *transitKey) trim(in transitInput) (int, any) {
	switch {
	case in.MinAvailable == nil:
		return invalid("missing min_available_version")
	case *in.MinAvailable < k.minPresent:
		return invalid("minimum available version cannot be decremented")
	case k.minEncrypt == 0:
		return invalid("minimum available version cannot be set when minimum encryption version is not set")
	case *in.MinAvailable > k.minEncrypt, *in.MinAvailable > k.minDecrypt:
		return invalid("minimum available version cannot be greater than minimum encryption or decryption version")
	}
	k.minPresent = *in.MinAvailable
	for n := range k.secrets {
		if n < k.minPresent {
			delete(k.secrets, n)
		}
	}
	return http.StatusNoContent, nil
}

func (k *transitKey) batch(op string, items []transitItem) (int, any) {
	results, status := make([]map[string]any, len(items)), http.StatusOK
	for i, item := range items {
		out, text := k.one(op, item)
		if text != "" {
			out, status = map[string]any{"error": text}, http.StatusBadRequest
		}
		results[i] = out
	}
	return status, map[string]any{"batch_results": results}
}

func (k *transitKey) one(op string, item transitItem) (map[string]any, string) {
	context, err := base64.StdEncoding.DecodeString(item.Context)
	if err != nil || k.derived && len(context) == 0 {
		return nil, "missing 'context' for key derivation; the key was created using a derived key, which means additional, per-request information must be included in order to perform operations with the key"
	}
	switch op {
	case "encrypt":
		plain, err := base64.StdEncoding.DecodeString(item.Plaintext)
		if err != nil {
			return nil, "failed to base64-decode plaintext"
		}
		return k.encrypt(item.KeyVersion, context, plain)
	case "decrypt", "rewrap":
		plain, text := k.decrypt(item.Ciphertext, context)
		switch {
		case text != "":
			return nil, text
		case op == "rewrap":
			return k.encrypt(item.KeyVersion, context, plain)
		}
		return map[string]any{"plaintext": base64.StdEncoding.EncodeToString(plain)}, ""
	}
	return nil, "unsupported path"
}

func (k *transitKey) aead(version int, context []byte) cipher.AEAD {
	key := k.secrets[version]
	if k.derived {
		key, _ = hkdf.Key(sha256.New, key, nil, string(context), 32)
	}
	block, _ := aes.NewCipher(key)
	aead, _ := cipher.NewGCM(block)
	return aead
}

func (k *transitKey) encrypt(version int, context, plain []byte) (map[string]any, string) {
	if version == 0 {
		version = k.latest
	}
	switch {
	case version > k.latest:
		return nil, "requested version for encryption is higher than the latest key version"
	case version < k.minEncrypt:
		return nil, "requested version for encryption is less than the minimum encryption key version"
	}
	nonce := make([]byte, 12)
	rand.Read(nonce)
	sealed := k.aead(version, context).Seal(nonce, nonce, plain, nil)
	return map[string]any{"ciphertext": fmt.Sprintf("vault:v%d:%s", version, base64.StdEncoding.EncodeToString(sealed)), "key_version": version}, ""
}

func (k *transitKey) decrypt(text string, context []byte) ([]byte, string) {
	number, sealed, ok := strings.Cut(strings.TrimPrefix(text, "vault:v"), ":")
	version, err := strconv.Atoi(number)
	b, err2 := base64.StdEncoding.DecodeString(sealed)
	switch {
	case !ok || err != nil || err2 != nil || len(b) < 28:
		return nil, "invalid ciphertext: no prefix"
	case version > k.latest:
		return nil, "invalid ciphertext: version is too new"
	case version < k.minDecrypt:
		return nil, "ciphertext or signature version is disallowed by policy (too old)"
	}
	plain, err := k.aead(version, context).Open(nil, b[:12], b[12:], nil)
	if err != nil {
		return nil, "cipher: message authentication failed"
	}
	return plain, ""
}

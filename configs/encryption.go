package configs

import "strings"

// A ResolvedEncryption is the section "encryption" of an archive that is
// encrypted: exactly one of KeyFile, Key and Vault is set.
type ResolvedEncryption struct {
	KeyFile          string
	Key              Secret
	Vault            ResolvedVault
	EscrowRecipients []string
}

// A ResolvedVault is where a transit engine is, and who asks it.
type ResolvedVault struct {
	Address string // empty: none
	Mount   string
	Key     string
	Token   Secret
	CAFile  string // empty: the system's authorities
}

// ResolveEncryption returns where keys are kept, and whether there are any.
func (c *Config) ResolveEncryption() (ResolvedEncryption, bool) {
	e := c.Encryption
	r := ResolvedEncryption{KeyFile: e.KeyFile, Key: c.secretIn("", e.KeyEnv), EscrowRecipients: recipients(e.EscrowRecipients)}
	if v := e.Vault; v.Address != "" {
		r.Vault = ResolvedVault{v.Address, v.Mount, v.Key, c.secretIn(v.TokenFile, v.TokenEnv), v.CAFile}
	}
	return r, e.KeyFile != "" || e.KeyEnv != "" || e.Vault.Address != ""
}

// recipients splits a list of public keys.
func recipients(list string) []string {
	var all []string
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.TrimSpace(one); one != "" {
			all = append(all, one)
		}
	}
	return all
}

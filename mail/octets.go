package mail

import "encoding/json"

func marshalOctets(o Octets) ([]byte, error) { return json.Marshal([]byte(o)) }

func unmarshalOctets(b []byte, o *Octets) error {
	var raw []byte
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	*o = Octets(raw)
	return nil
}

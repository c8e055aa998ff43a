package charset

import "strings"

// visciiHigh are the characters of the octets from 0x80 on in VISCII 1.1
// (RFC 1456), visciiLow those below 0x20 that are no controls there.
var (
	visciiHigh = []rune("ẠẮẰẶẤẦẨẬẼẸẾỀỂỄỆỐỒỔỖỘỢỚỜỞỊỎỌỈỦŨỤỲÕắằặấầẩậẽẹếềểễệốồổỗỠƠộờởịỰỨỪỬơớƯÀÁÂÃẢĂẳẵÈÉÊẺÌÍĨỳĐứÒÓÔạỷừửÙÚỹỵÝỡưàáâãảăữẫèéêẻìíĩỉđựòóôõỏọụùúũủýợỮ")
	visciiLow  = map[byte]rune{0x02: 'Ẳ', 0x05: 'Ẵ', 0x06: 'Ẫ', 0x14: 'Ỷ', 0x19: 'Ỹ', 0x1e: 'Ỵ'}
)

// decodeVISCII reads VISCII, which has a character for every octet.
func decodeVISCII(b []byte) string {
	var sb strings.Builder
	sb.Grow(len(b) + len(b)/2)
	for _, c := range b {
		switch low, ok := visciiLow[c]; {
		case c >= 0x80:
			sb.WriteRune(visciiHigh[c-0x80])
		case ok:
			sb.WriteRune(low)
		default:
			sb.WriteByte(c)
		}
	}
	return sb.String()
}

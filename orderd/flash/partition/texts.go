package partition

import "encoding/binary"

// textBlock is the size of a block of texts, in bytes.
const textBlock = 1 << 16

// texts are strings one after the other in large blocks, each behind its length. At most 2^16
// blocks: 4 GiB.
type texts struct {
	blocks [][]byte
}

// text is the place of a string: its block in the upper half, where it begins in the lower.
type text uint32

func (t *texts) add(s string) text {
	need := len(s) + binary.MaxVarintLen32
	last := len(t.blocks) - 1
	if last < 0 || len(t.blocks[last])+need > textBlock {
		var block []byte
		if last++; last > 0 {
			block = make([]byte, 0, max(textBlock, need))
		}
		t.blocks = append(t.blocks, block)
	}
	at := text(last)<<16 | text(len(t.blocks[last]))
	block := binary.AppendUvarint(t.blocks[last], uint64(len(s)))
	t.blocks[last] = append(block, s...)
	return at
}

// bytes of a text; not to be changed, and only for now.
func (t *texts) bytes(at text) []byte {
	block := t.blocks[at>>16][at&0xffff:]
	length, n := binary.Uvarint(block)
	return block[n : n+int(length) : n+int(length)]
}

// is compares without a copy.
func (t *texts) is(at text, s string) bool { return string(t.bytes(at)) == s }

// drop a text if it is the last that was added.
func (t *texts) drop(at text) {
	last := len(t.blocks) - 1
	length, n := binary.Uvarint(t.blocks[at>>16][at&0xffff:])
	if int(at>>16) == last && int(at&0xffff)+n+int(length) == len(t.blocks[last]) {
		t.blocks[last] = t.blocks[last][:at&0xffff]
	}
}

// full says that there is hardly room for another text.
func (t *texts) full() bool { return len(t.blocks) >= 1<<16-2 }

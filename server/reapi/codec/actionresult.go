package codec

// GetActionResult is a GetActionResultRequest.
type GetActionResult struct {
	Instance string
	// Action is the action_digest, HasAction whether it is set.
	Action    Digest
	HasAction bool
	// Function is the digest_function's number.
	Function                   int32
	InlineStdout, InlineStderr bool
	// InlineFiles is inline_output_files.
	InlineFiles []string
}

const (
	getResultInstance = 1<<3 | bytesType
	getResultAction   = 2<<3 | bytesType
	getResultStdout   = 3<<3 | varintType
	getResultStderr   = 4<<3 | varintType
	getResultFiles    = 5<<3 | bytesType
	getResultFunction = 6<<3 | varintType
)

// Decode reads the request.
func (m *GetActionResult) Decode(r *Request) error {
	*m = GetActionResult{}
	f := r.fields()
	for f.next() {
		switch f.tag {
		case getResultInstance:
			m.Instance = string(f.text())
		case getResultAction:
			m.HasAction = true
			f.check(m.Action.merge(f.bytes()))
		case getResultStdout:
			m.InlineStdout = f.varint != 0
		case getResultStderr:
			m.InlineStderr = f.varint != 0
		case getResultFiles:
			m.InlineFiles = append(m.InlineFiles, string(f.text()))
		case getResultFunction:
			m.Function = f.enum()
		}
	}
	return f.err
}

// UpdateActionResult is an UpdateActionResultRequest without its
// results_cache_policy.
type UpdateActionResult struct {
	Instance  string
	Action    Digest
	HasAction bool
	Function  int32
	// Result is the action_result in wire form, not looked into. It aliases the
	// request. HasResult tells whether it is set.
	Result    []byte
	HasResult bool
}

const (
	updateResultInstance = 1<<3 | bytesType
	updateResultAction   = 2<<3 | bytesType
	updateResultResult   = 3<<3 | bytesType
	updateResultPolicy   = 4<<3 | bytesType
	updateResultFunction = 5<<3 | varintType
)

// Decode reads the request.
func (m *UpdateActionResult) Decode(r *Request) error {
	*m = UpdateActionResult{}
	f := r.fields()
	for f.next() {
		switch f.tag {
		case updateResultInstance:
			m.Instance = string(f.text())
		case updateResultAction:
			m.HasAction = true
			f.check(m.Action.merge(f.bytes()))
		case updateResultResult:
			m.addResult(f.bytes())
		case updateResultPolicy:
			f.check(skim(f.bytes()))
		case updateResultFunction:
			m.Function = f.enum()
		}
	}
	return f.err
}

// addResult takes the action result. One that comes in several fields is
// merged, and the wire form of a merged message is that of its parts in a row.
func (m *UpdateActionResult) addResult(wire []byte) {
	if m.HasResult {
		joined := make([]byte, 0, len(m.Result)+len(wire))
		wire = append(append(joined, m.Result...), wire...)
	}
	m.Result, m.HasResult = wire, true
}

// skim checks that a message of numbers is well formed.
func skim(wire []byte) error {
	f := fieldsOf(wire)
	for f.next() {
	}
	return f.err
}

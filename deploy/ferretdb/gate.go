package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
)

const (
	opMsg   = 2013
	opQuery = 2004
	// maxMessage is what MongoDB itself allows (48,000,000 bytes).
	maxMessage = 48_000_000
	moreToCome = 1 << 1
)

// Gate lets one write at a time reach a collection; reads pass freely.
//
// Writes to different collections run side by side, except the first write to a collection and everything that creates
// or drops something: those run alone, because they change FerretDB's own tables.
type Gate struct {
	dial func() (net.Conn, error)
	// users may be nil: then nobody is asked who he is.
	users *Users

	structure sync.RWMutex
	mu        sync.Mutex
	known     map[string]*sync.Mutex
}

// NewGate returns a gate before the server that dial reaches. It lets in who is among the users.
func NewGate(users *Users, dial func() (net.Conn, error)) *Gate {
	return &Gate{dial: dial, users: users, known: map[string]*sync.Mutex{}}
}

// Serve accepts clients until the listener is closed.
func (g *Gate) Serve(listener net.Listener) error {
	for {
		client, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go g.client(client)
	}
}

// client carries one client's messages until either side closes.
func (g *Gate) client(client net.Conn) {
	defer client.Close()
	var server net.Conn
	defer func() {
		if server != nil {
			server.Close()
		}
	}()
	session := &session{users: g.users}
	for {
		request, err := session.read(client)
		if err != nil {
			return
		}
		answered := expectAnswer(request)
		command := parseCommand(request)
		reply := session.answer(request, command)
		if reply == nil && server == nil {
			if server, err = g.dial(); err != nil {
				return
			}
		}
		if reply == nil {
			release := g.enter(command)
			reply, err = exchange(server, request)
			release()
		}
		if err != nil {
			return
		}
		if !answered {
			continue
		}
		if _, err = client.Write(reply); err != nil {
			return
		}
	}
}

// exchange sends a request and returns its reply.
func exchange(server net.Conn, request []byte) ([]byte, error) {
	if _, err := server.Write(request); err != nil {
		return nil, err
	}
	return readMessage(server, maxMessage)
}

// expectAnswer tells whether the client waits for a reply. The gate always does: only a reply tells that a write is
// over. So the request is changed to ask for one, and the reply to an unacknowledged write is dropped.
func expectAnswer(request []byte) bool {
	if opcode(request) != opMsg || len(request) < 20 {
		return true
	}
	flags := binary.LittleEndian.Uint32(request[16:])
	if flags&moreToCome == 0 {
		return true
	}
	binary.LittleEndian.PutUint32(request[16:], flags&^uint32(moreToCome))
	return false
}

// enter waits until the command may run and returns what to call when it is over.
func (g *Gate) enter(c command) func() {
	switch c.kind {
	case read:
		return func() {}
	case write:
		g.mu.Lock()
		lock := g.known[c.namespace]
		g.mu.Unlock()
		if lock != nil {
			g.structure.RLock()
			lock.Lock()
			return func() { lock.Unlock(); g.structure.RUnlock() }
		}
		g.structure.Lock()
		return func() {
			g.mu.Lock()
			if g.known[c.namespace] == nil {
				g.known[c.namespace] = &sync.Mutex{}
			}
			g.mu.Unlock()
			g.structure.Unlock()
		}
	default:
		g.structure.Lock()
		return func() {
			// What was known may be gone; locks are free, nobody else is inside.
			g.mu.Lock()
			g.known = map[string]*sync.Mutex{}
			g.mu.Unlock()
			g.structure.Unlock()
		}
	}
}

type kind int

const (
	read kind = iota
	write
	structure
)

// command is what the gate needs to know about a message.
type command struct {
	name      string
	kind      kind
	namespace string
	// broken tells that the gate and FerretDB might not read the same in it.
	broken bool
}

// kindOf sorts commands by their name. Unknown ones read: FerretDB has no other command that changes data.
func kindOf(name string) kind {
	switch strings.ToLower(name) {
	case "insert", "update", "delete", "findandmodify":
		return write
	}
	for _, prefix := range []string{"create", "drop", "rename", "collmod", "compact"} {
		if strings.HasPrefix(strings.ToLower(name), prefix) {
			return structure
		}
	}
	return read
}

// parseCommand reads the command's name, collection and database.
func parseCommand(message []byte) command {
	if opcode(message) != opMsg {
		// Only the old handshake is not an OP_MSG.
		return command{kind: read}
	}
	body, err := bodyOf(message)
	if err != nil {
		return command{broken: true}
	}
	name, collection, database, err := namesOf(body)
	if err != nil {
		return command{broken: true}
	}
	return command{name: name, kind: kindOf(name), namespace: database + "." + collection}
}

// bodyOf finds the section of kind 0, which holds the command, among the sections of an OP_MSG.
func bodyOf(message []byte) ([]byte, error) {
	rest := message[min(20, len(message)):]
	for len(rest) >= 5 {
		sectionKind, size := rest[0], int(binary.LittleEndian.Uint32(rest[1:]))
		if size < 4 || size > len(rest)-1 {
			return nil, fmt.Errorf("section of %d bytes", size)
		}
		if sectionKind == 0 {
			return rest[1 : 1+size], nil
		}
		rest = rest[1+size:]
	}
	return nil, errors.New("no body section")
}

// namesOf walks the elements of a BSON document: the first key is the command, its value the collection. FerretDB takes the last of
// several keys and does not mind their case, so a document in which a key comes twice has no meaning here.
func namesOf(document []byte) (name, collection, database string, err error) {
	rest, seen := document[min(4, len(document)):], map[string]bool{}
	for len(rest) > 1 {
		elementType := rest[0]
		key, after, ok := cString(rest[1:])
		if !ok {
			return "", "", "", errors.New("unterminated key")
		}
		size, ok := valueSize(elementType, after)
		if !ok || size > len(after) {
			return "", "", "", fmt.Errorf("value of type %#x", elementType)
		}
		if seen[strings.ToLower(key)] {
			return "", "", "", fmt.Errorf("key %q comes twice", key)
		}
		seen[strings.ToLower(key)] = true
		text := ""
		if elementType == 0x02 && size > 5 {
			text = string(after[4 : size-1])
		}
		switch {
		case name == "":
			name, collection = key, text
		case key == "$db":
			database = text
		case key == "collection" && strings.EqualFold(name, "getmore"):
			// What is read on has a number where others name their collection.
			collection = text
		}
		rest = after[size:]
	}
	if name == "" {
		return "", "", "", errors.New("empty command")
	}
	return name, collection, database, nil
}

func cString(data []byte) (string, []byte, bool) {
	for i, b := range data {
		if b == 0 {
			return string(data[:i]), data[i+1:], true
		}
	}
	return "", nil, false
}

// valueSize is the length of a BSON value of the given type at the beginning of data.
func valueSize(elementType byte, data []byte) (int, bool) {
	switch elementType {
	case 0x06, 0x0A, 0x7F, 0xFF: // undefined, null, max key, min key
		return 0, true
	case 0x08: // bool
		return 1, true
	case 0x10: // int32
		return 4, true
	case 0x01, 0x09, 0x11, 0x12: // double, date, timestamp, int64
		return 8, true
	case 0x07: // object id
		return 12, true
	case 0x13: // decimal128
		return 16, true
	case 0x0B: // regular expression: two C strings
		_, rest, ok := cString(data)
		if ok {
			_, rest, ok = cString(rest)
		}
		return len(data) - len(rest), ok
	}
	if len(data) < 4 {
		return 0, false
	}
	length := int(binary.LittleEndian.Uint32(data))
	switch elementType {
	case 0x03, 0x04, 0x0F: // document, array, code with scope: length includes itself
		return length, length >= 4
	case 0x02, 0x0D, 0x0E: // strings
		return 4 + length, length >= 1
	case 0x05: // binary
		return 5 + length, true
	case 0x0C: // pointer
		return 4 + length + 12, true
	}
	return 0, false
}

func opcode(message []byte) uint32 {
	return binary.LittleEndian.Uint32(message[12:])
}

// readMessage reads one message of at most so many bytes: a length, which counts itself, and the rest of a 16-byte header, then the body.
func readMessage(r io.Reader, most uint32) ([]byte, error) {
	var prefix [4]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, err
	}
	length := binary.LittleEndian.Uint32(prefix[:])
	if length < 16 || length > most {
		return nil, fmt.Errorf("message of %d bytes", length)
	}
	message := make([]byte, length)
	copy(message, prefix[:])
	_, err := io.ReadFull(r, message[4:])
	return message, err
}

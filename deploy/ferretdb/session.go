package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/xdg-go/scram"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
)

// The server's codes of errors.
const (
	failedToParse        = 9
	unauthorized         = 13
	authenticationFailed = 18
)

// session is what a connection has shown of who it is.
type session struct {
	users        *Users
	conversation *scram.ServerConversation
	// user is empty until somebody has signed in.
	user string
}

// anybody lists the commands that need no account: they tell nothing of what is stored, and lead to signing in.
var anybody = map[string]bool{
	"hello": true, "ismaster": true, "ping": true, "buildinfo": true, "logout": true, "endsessions": true,
}

// named lists the commands whose value (or getMore's "collection") is the collection that they concern. Every other command is for
// accounts that may everything: its value may be anything.
var named = map[string]bool{
	"find": true, "getmore": true, "killcursors": true, "aggregate": true, "count": true, "distinct": true,
	"insert": true, "update": true, "delete": true, "findandmodify": true,
	"create": true, "drop": true, "createindexes": true, "dropindexes": true, "listindexes": true, "collstats": true,
}

// A stranger gets this much time for a message, and this much room: what leads to signing in is small. Drivers ask every ten seconds,
// on a connection without an account, whether the server is there.
const (
	strangerTime  = 60 * time.Second
	strangerBytes = 64 << 10
)

// read reads the next message of a client.
func (s *session) read(client net.Conn) ([]byte, error) {
	if s.users == nil || s.user != "" {
		return readMessage(client, maxMessage)
	}
	if err := client.SetReadDeadline(time.Now().Add(strangerTime)); err != nil {
		return nil, err
	}
	message, err := readMessage(client, strangerBytes)
	if err != nil {
		return nil, err
	}
	return message, client.SetReadDeadline(time.Time{})
}

// answer is what the gate itself replies; nil where the request goes on to the server.
func (s *session) answer(request []byte, c command) []byte {
	if c.broken {
		return reply(request, failure(failedToParse, "FailedToParse", "the command is not unambiguous"))
	}
	if s.users == nil {
		return nil
	}
	name := strings.ToLower(c.name)
	if opcode(request) != opMsg {
		// The old handshake; it carries nothing else.
		if opcode(request) == opQuery && handshake(request) {
			return nil
		}
		return reply(request, failure(unauthorized, "Unauthorized", "only OP_MSG is accepted"))
	}
	switch {
	case name == "saslstart" || name == "saslcontinue":
		return reply(request, s.step(request, name == "saslstart"))
	case anybody[name]:
		return nil
	case s.user == "":
		message := fmt.Sprintf("Command %s requires authentication", c.name)
		return reply(request, failure(unauthorized, "Unauthorized", message))
	case !named[name] && !s.users.mayAll(s.user), !s.users.may(s.user, c.kind, c.namespace):
		message := fmt.Sprintf("not authorized on %s to execute command %s", c.namespace, c.name)
		return reply(request, failure(unauthorized, "Unauthorized", message))
	}
	return nil
}

// step takes part in a conversation of SCRAM-SHA-256.
func (s *session) step(request []byte, first bool) bson.D {
	failed := failure(authenticationFailed, "AuthenticationFailed", "Authentication failed.")
	body, err := bodyOf(request)
	if err != nil {
		return failed
	}
	var said struct {
		Mechanism string           `bson:"mechanism"`
		Payload   primitive.Binary `bson:"payload"`
	}
	if err := bson.Unmarshal(body, &said); err != nil {
		return failed
	}
	if first {
		s.conversation, s.user = nil, ""
		if said.Mechanism != "SCRAM-SHA-256" {
			return failure(authenticationFailed, "AuthenticationFailed", "only SCRAM-SHA-256 is accepted")
		}
		s.conversation = s.users.server.NewConversation()
	}
	if s.conversation == nil {
		return failed
	}
	answered, err := s.conversation.Step(string(said.Payload.Data))
	if err != nil {
		s.conversation = nil
		return failed
	}
	done := s.conversation.Done() && s.conversation.Valid()
	if done {
		s.user = s.conversation.Username()
		s.conversation = nil
	}
	return proceeds(answered, done)
}

func proceeds(payload string, done bool) bson.D {
	return bson.D{
		{Key: "conversationId", Value: int32(1)},
		{Key: "done", Value: done},
		{Key: "payload", Value: primitive.Binary{Data: []byte(payload)}},
		{Key: "ok", Value: 1.0},
	}
}

func failure(code int32, name, message string) bson.D {
	return bson.D{
		{Key: "ok", Value: 0.0},
		{Key: "errmsg", Value: message},
		{Key: "code", Value: code},
		{Key: "codeName", Value: name},
	}
}

// reply is an OP_MSG that answers a request.
func reply(request []byte, document bson.D) []byte {
	body, err := bson.Marshal(document)
	if err != nil {
		// Documents are made of what always can be written.
		panic(err)
	}
	message := make([]byte, 21, 21+len(body))
	binary.LittleEndian.PutUint32(message, uint32(21+len(body)))
	copy(message[8:12], request[4:8])
	binary.LittleEndian.PutUint32(message[12:], opMsg)
	return append(message, body...)
}

// handshake tells whether an OP_QUERY asks who the server is, and nothing else.
func handshake(request []byte) bool {
	if len(request) < 20 {
		return false
	}
	collection, rest, ok := cString(request[20:])
	if !ok || collection != "admin.$cmd" || len(rest) < 8 {
		return false
	}
	name, _, _, err := namesOf(rest[8:])
	return err == nil && (strings.EqualFold(name, "ismaster") || strings.EqualFold(name, "hello"))
}

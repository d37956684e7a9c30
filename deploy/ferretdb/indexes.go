package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// FerretDB 1.24 asks PostgreSQL whether `_jsonb->'field' @> value`. No B-tree index answers that, and it makes no other: every
// look-up reads the whole table, even one by _id. A GIN index on the same expression does answer it. So beside each index that
// FerretDB makes, one is kept here that PostgreSQL can use; the cost of a look-up then no longer grows with the collection.

// indexPause is the time between two looks for new indexes.
const indexPause = 10 * time.Second

// indexed finds the expressions of an index as PostgreSQL writes them, such as ((_jsonb -> 'index'::text) -> 'owner'::text).
var (
	indexed = regexp.MustCompile(`_jsonb((?: -> '(?:[^']|'')*'::text\)*)+)`)
	step    = regexp.MustCompile(`'((?:[^']|'')*)'::text`)
)

// twin is an index that answers what FerretDB asks.
type twin struct{ schema, table, expression string }

// twins returns what is to stand beside an index, by its definition.
func twins(schema, table, definition string) []twin {
	var found []twin
	for _, expression := range indexed.FindAllStringSubmatch(definition, -1) {
		var path []string
		for _, name := range step.FindAllStringSubmatch(expression[1], -1) {
			path = append(path, name[1])
		}
		if len(path) == 1 {
			found = append(found, twin{schema, table, fmt.Sprintf("_jsonb -> '%s'", path[0])})
			continue
		}
		// Names that an array literal would have to escape are none of the platform's.
		if joined := strings.Join(path, ","); !strings.ContainsAny(joined, `"\{} `) && strings.Count(joined, ",") == len(path)-1 {
			found = append(found, twin{schema, table, fmt.Sprintf("_jsonb #> '{%s}'", joined)})
		}
	}
	return found
}

// name is the same each time, so that an index is made once.
func (t twin) name() string {
	sum := sha256.Sum256([]byte(t.table + "\x00" + t.expression))
	return "twin_" + hex.EncodeToString(sum[:8])
}

func (t twin) create() string {
	return fmt.Sprintf("CREATE INDEX IF NOT EXISTS %s ON %s USING gin ((%s) jsonb_path_ops)",
		pgx.Identifier{t.name()}.Sanitize(), pgx.Identifier{t.schema, t.table}.Sanitize(), t.expression)
}

// keepIndexes makes the twins of all indexes, again and again, until ctx ends. What fails is tried again: look-ups are slow until
// then, never wrong. Errors may pass (PostgreSQL starts later, a collection is dropped meanwhile), so each is told once.
func keepIndexes(ctx context.Context, url string) {
	told := ""
	for ctx.Err() == nil {
		said := ""
		if err := makeTwins(ctx, url); err != nil {
			said = err.Error()
		}
		if said != "" && said != told {
			slog.Error("an index is not made yet, look-ups are slow until it is", "error", said)
		}
		told = said
		select {
		case <-ctx.Done():
		case <-time.After(indexPause):
		}
	}
}

// connect opens one connection as FerretDB opens many: what the URL says of its pool is no setting of PostgreSQL.
func connect(ctx context.Context, url string) (*pgx.Conn, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	return pgx.ConnectConfig(ctx, config.ConnConfig)
}

// makeTwins makes the twins that are missing.
func makeTwins(ctx context.Context, url string) error {
	connection, err := connect(ctx, url)
	if err != nil {
		return err
	}
	defer connection.Close(context.WithoutCancel(ctx))
	rows, err := connection.Query(ctx, `SELECT schemaname, tablename, indexname, indexdef FROM pg_indexes
		WHERE indexdef LIKE '%(_jsonb -> %' AND tablename NOT LIKE '\_ferretdb\_%' OR indexname LIKE 'twin\_%'`)
	if err != nil {
		return err
	}
	made := map[string]bool{}
	var wanted []twin
	var schema, table, name, definition string
	_, err = pgx.ForEachRow(rows, []any{&schema, &table, &name, &definition}, func() error {
		if strings.HasPrefix(name, "twin_") {
			made[schema+"."+name] = true
		} else {
			wanted = append(wanted, twins(schema, table, definition)...)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, twin := range wanted {
		if made[twin.schema+"."+twin.name()] {
			continue
		}
		if _, failed := connection.Exec(ctx, twin.create()); failed != nil {
			err = failed
		}
	}
	return err
}

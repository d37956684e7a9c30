package main

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
)

func TestTwinsOfIndexes(t *testing.T) {
	btree := func(columns string) string {
		return "CREATE INDEX x ON s.t USING btree (" + columns + ")"
	}
	for definition, expected := range map[string][]string{
		btree("((_jsonb -> '_id'::text))"):                                        {"_jsonb -> '_id'"},
		btree("(((_jsonb -> 'index'::text) -> 'owner'::text))"):                   {"_jsonb #> '{index,owner}'"},
		btree("((_jsonb -> 'sensor'::text)), ((_jsonb -> 'from_ms'::text)) DESC"): {"_jsonb -> 'sensor'", "_jsonb -> 'from_ms'"},
		btree("((_jsonb -> 'it''s'::text))"):                                      {"_jsonb -> 'it''s'"},
		btree("(((_jsonb -> 'a b'::text) -> 'c'::text))"):                         nil,
		btree("_ferretdb_record_id"):                                              nil,
	} {
		var found []string
		for _, twin := range twins("s", "t", definition) {
			found = append(found, twin.expression)
		}
		if !reflect.DeepEqual(found, expected) {
			t.Errorf("%s: %v, expected %v", definition, found, expected)
		}
	}
}

// Needs PostgreSQL: GATE_TEST_POSTGRESQL names one.
func TestLookUpsUseTheTwins(t *testing.T) {
	url := os.Getenv("GATE_TEST_POSTGRESQL")
	if url == "" {
		t.Skip("GATE_TEST_POSTGRESQL is not set")
	}
	database := start(t)
	ctx := context.Background()
	collection := database.Collection("things")
	index := mongo.IndexModel{Keys: bson.D{{Key: "index.owner", Value: 1}}}
	if _, err := collection.Indexes().CreateOne(ctx, index); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := makeTwins(ctx, url); err != nil {
			t.Fatal(err)
		}
	}
	var documents []any
	for number := range 5000 {
		owner := bson.D{{Key: "owner", Value: fmt.Sprint("o", number%100)}}
		documents = append(documents, bson.D{{Key: "_id", Value: fmt.Sprint(number)}, {Key: "index", Value: owner}})
	}
	if _, err := collection.InsertMany(ctx, documents); err != nil {
		t.Fatal(err)
	}
	count, err := collection.CountDocuments(ctx, bson.D{{Key: "index.owner", Value: "o7"}})
	if err != nil || count != 50 {
		t.Fatal(count, err)
	}
	connection, err := connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close(ctx)
	var table string
	if err := connection.QueryRow(ctx, "SELECT tablename FROM pg_indexes WHERE schemaname = $1 AND tablename LIKE 'things%' LIMIT 1", database.Name()).Scan(&table); err != nil {
		t.Fatal(err)
	}
	name := pgx.Identifier{database.Name(), table}.Sanitize()
	if _, err := connection.Exec(ctx, "ANALYZE "+name); err != nil {
		t.Fatal(err)
	}
	// As FerretDB asks.
	for key, value := range map[string]string{"-> '_id'": `"17"`, "#> '{index,owner}'": `"o7"`} {
		rows, err := connection.Query(ctx, fmt.Sprintf("EXPLAIN SELECT _jsonb FROM %s WHERE _jsonb %s @> '%s'", name, key, value))
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if plan := strings.Join(lines, "\n"); err != nil || !strings.Contains(plan, "twin_") {
			t.Errorf("%s: %s %v", key, plan, err)
		}
	}
}

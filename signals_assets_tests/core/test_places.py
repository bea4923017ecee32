from signals_assets.core.places import place_of, placeless

MAP = {
    "query-gateway": ["run_query", "services/gateway/*", "gateway-log"],
    "exporter": ["export_file", "billing/*"],
}


def test_a_place_is_named_however_its_words_are_joined_and_mistyped() -> None:
    assert place_of("the Query Gateway is slow", MAP) == {"query-gateway"}
    assert place_of("RUN_QUERY is slow", MAP) == {"query-gateway"}
    assert place_of("our gatewya is slow", MAP) == {"query-gateway"}
    assert place_of("something is slow", MAP) == set()
    assert place_of("", MAP, ["billing/a.py", "services/gateway/b.py"]) == {"query-gateway", "exporter"}


def test_a_place_named_by_more_words_than_another_is_meant() -> None:
    places = {"query-gateway": ["describe_table"], "invoice-export": ["export_invoices"]}
    assert place_of("the rates table lacks a currency (exporting an invoice)", places) == {"invoice-export"}
    assert place_of("the gateway and the invoice", places) == {"query-gateway", "invoice-export"}


def test_a_sentence_without_places_keeps_what_it_says() -> None:
    assert placeless("the Run-Query call of the query gateway fails", MAP) == "the it call of the it fails"
    assert placeless("an index is slow", {"document-index": ["find_documents"]}) == "an index is slow"
    assert placeless("the documents index is slow", {"document-index": ["find_documents"]}) == "the it is slow"

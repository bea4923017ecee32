"""A local server that speaks the part of BigQuery's REST API (v2) that the official client uses, for one project.

Put here: paths, jobs and their lives, uploads, paging, faults of BigQuery's own. Not here: sockets and faults of the
wire (`local_service.py`), what tables hold (`bigquery_state.py`).

Every query parameter and body is checked against BigQuery's discovery document, and so is every answer. The SQL is
DuckDB's, by way of sqlglot: what a test shows with it holds for plumbing and plain SQL only, which is why a statement
with words that do not mean the same in both ends the test (`bigquery_lint.py`).
"""

import copy
import email
import email.policy
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import orjson
import pyarrow as pa

from signals_assets_tests.fakes.bigquery_discovery import wrong_answer, wrong_query, wrong_request
from signals_assets_tests.fakes.bigquery_lint import banned
from signals_assets_tests.fakes.bigquery_state import Answer, Name, State
from signals_assets_tests.fakes.bigquery_statements import billed
from signals_assets_tests.fakes.bigquery_values import Refused, rows_of, schema_of
from signals_assets_tests.fakes.local_service import LocalService, Reply, Request

PROJECT = "test-project"
LOCATION = "EU"
_ANONYMOUS = "_results"
_PAGE_BYTES = 10 * 2**20
_UNLISTED = ("upload_id", "projection")
"""Parameters that Google's servers take although the document does not list them; the official client sends them."""


class BigQueryServer(LocalService):
    """See the module. `page`: most rows of a page, whatever a client asks for.

    Tests set: `pending` (so many looks at each new job find it running), `short` (so many pages of rows come without
    their second half and without the token of the next page).
    """

    def __init__(self, *, page: int = 10_000) -> None:
        super().__init__()
        self.page, self.pending, self.short = page, 0, 0
        self.state = State(PROJECT)
        self.jobs: dict[str, dict[str, Any]] = {}
        self._content: dict[str, bytes] = {}
        self._waits: dict[str, int] = {}
        self._results: dict[str, pa.Table] = {}
        self._uploads: dict[str, dict[str, Any]] = {}
        self._refusals: list[tuple[int, str, str]] = []
        self._failures: Iterator[str] = iter(())

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        super().__exit__(kind, error, trace)
        self.state.close()

    def refuse(self, status: int, reason: str, fits: str = ".*", times: int = 1) -> None:
        """The next requests whose "METHOD path" matches are answered with this error and not carried out."""
        self._refusals += [(status, reason, fits)] * times

    def fail_loads(self, reasons: Iterable[str]) -> None:
        """The next load jobs are accepted and fail with these reasons."""
        self._failures = iter(reasons)

    def finish_after(self, job: str, looks: int) -> None:
        """A job that is running is done after so many more looks at it."""
        self._waits[job] = looks

    def asked(self, kind: str) -> list[dict[str, Any]]:
        """Configurations of the jobs that were started, of a kind (`load`, `query`), in order."""
        return [job["configuration"][kind] for job in self.jobs.values() if kind in job["configuration"]]

    # --- HTTP -----------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Reply:
        for number, (status, reason, fits) in enumerate(self._refusals):
            if re.search(fits, f"{request.method} {request.path}"):
                del self._refusals[number]
                return _error(Refused(status, reason, f"refused: {reason}"))
        for verb, pattern, name, run in _ROUTES:
            found = re.fullmatch(pattern, request.path)
            if found and request.method == verb:
                return self._answered(name, run, request, found.groupdict())
        self.complain(f"no such method: {request.method} {request.path}")
        return _error(Refused(404, "notFound", "no such method"))

    def _answered(self, name: str, run: "Route", request: Request, given: dict[str, str]) -> Reply:
        query = {key: value for key, value in request.query.items() if key not in _UNLISTED}
        if wrong := wrong_query(name, query):
            self.complain(wrong)
            return _error(Refused(400, "invalid", wrong))
        try:
            if given.pop("project", PROJECT) != PROJECT:
                raise Refused(404, "notFound", "no such project")
            reply = run(self, request, given)
        except Refused as refused:
            return _error(refused)
        if isinstance(reply, Reply):
            return reply
        shown = {key: value for key, value in (reply or {}).items() if key != "rows"}
        if reply is not None and (wrong := wrong_answer(name, shown)):
            self.complain(f"answer of {wrong}")
        return Reply(200 if reply is not None else 204, None if reply is None else orjson.dumps(reply))

    def _body(self, name: str, content: bytes) -> dict[str, Any]:
        body: dict[str, Any] = orjson.loads(content)
        if wrong := wrong_request(name, body):
            raise Refused(400, "invalid", f"Invalid JSON payload received. {wrong}")
        return body

    # --- datasets -------------------------------------------------------------------------------------------------

    def _list_datasets(self, request: Request, given: Mapping[str, str]) -> dict[str, Any]:
        keys = ("datasetReference", "id", "kind", "labels", "location")
        listed = [{key: one[key] for key in keys if key in one} for one in self.state.datasets.values()]
        return {"kind": "bigquery#datasetList", "datasets": listed}

    def _get_dataset(self, request: Request, given: Mapping[str, str]) -> dict[str, Any]:
        return self.state.dataset(given["dataset"])

    def _insert_dataset(self, request: Request, given: Mapping[str, str]) -> dict[str, Any]:
        body = self._body("datasets.insert", request.body)
        name = body["datasetReference"]["datasetId"]
        if not re.fullmatch(r"\w{1,1024}", name, re.ASCII):
            raise Refused(400, "invalid", f"Invalid dataset ID {name}")
        self.state.add_dataset(name, {
            "kind": "bigquery#dataset", "id": f"{PROJECT}:{name}", "location": LOCATION, "access": [], **body,
            **_stamps(),
        })  # fmt: skip
        return self.state.dataset(name)

    def _patch_dataset(self, request: Request, given: Mapping[str, str]) -> dict[str, Any]:
        dataset = self.state.dataset(given["dataset"])
        _changed(dataset, self._body("datasets.patch", request.body), request)
        return dataset

    def _delete_dataset(self, request: Request, given: Mapping[str, str]) -> None:
        self.state.drop_dataset(given["dataset"], with_tables=request.query.get("deleteContents") == "true")

    # --- tables ---------------------------------------------------------------------------------------------------

    def _list_tables(self, request: Request, given: Mapping[str, str]) -> dict[str, Any]:
        self.state.dataset(given["dataset"])
        keys = ("kind", "id", "tableReference", "type", "timePartitioning", "clustering", "labels")
        listed = [
            {key: table.resource[key] for key in keys if key in table.resource}
            for (dataset, _), table in self.state.tables.items()
            if dataset == given["dataset"]
        ]
        start = int(request.query.get("pageToken", 0))
        stop = start + min(int(request.query.get("maxResults", 50)), self.page)
        more = {"nextPageToken": str(stop)} if stop < len(listed) else {}
        return {"kind": "bigquery#tableList", "totalItems": len(listed), "tables": listed[start:stop], **more}

    def _shown(self, name: Name) -> dict[str, Any]:
        return self.state.stored(name).resource | {"numRows": str(self.state.count(name))}

    def _get_table(self, request: Request, given: Mapping[str, str]) -> dict[str, Any]:
        return self._shown((given["dataset"], given["table"].partition("$")[0]))

    def _insert_table(self, request: Request, given: Mapping[str, str]) -> dict[str, Any]:
        body = self._body("tables.insert", request.body)
        name = (given["dataset"], body["tableReference"]["tableId"])
        self.state.add_table(name, {
            "kind": "bigquery#table", "id": f"{PROJECT}:{name[0]}.{name[1]}", "location": LOCATION,
            "type": "VIEW" if "view" in body else "TABLE", **body, **_stamps(),
        })  # fmt: skip
        return self._shown(name)

    def _patch_table(self, request: Request, given: Mapping[str, str]) -> dict[str, Any]:
        name = (given["dataset"], given["table"])
        table = self.state.stored(name)
        body = self._body("tables.patch", request.body)
        if "schema" in body and table.view is None:
            self.state.change_schema(name, body.pop("schema")["fields"])
        _changed(table.resource, body, request)
        return self._shown(name)

    def _delete_table(self, request: Request, given: Mapping[str, str]) -> None:
        self.state.drop_table((given["dataset"], given["table"]))

    def _list_rows(self, request: Request, given: Mapping[str, str]) -> dict[str, Any]:
        name = (given["dataset"], given["table"])
        found = self._results[name[1]] if name[0] == _ANONYMOUS else self.state.contents(name)
        wanted = request.query.get("selectedFields")
        return {"kind": "bigquery#tableDataList", **self._rows(found.select(wanted.split(",")) if wanted else found,
                                                              request, "pageToken")}  # fmt: skip

    def _rows(self, table: pa.Table, request: Request, token: str) -> dict[str, Any]:
        """A page of rows: at most so many as asked for, as the server gives, and as fit ten megabytes."""
        start = int(request.query.get("pageToken") or request.query.get("startIndex") or 0)
        most = min(int(request.query.get("maxResults", self.page)), self.page)
        micros = request.query.get("formatOptions.useInt64Timestamp", "false").lower() == "true"
        rows: list[dict[str, Any]] = []
        size = 0
        for row in rows_of(table.slice(start, most), whole_microseconds=micros):
            rows.append(row)
            size += len(orjson.dumps(row))
            if size > _PAGE_BYTES:
                break
        stop = start + len(rows)
        page: dict[str, Any] = {"totalRows": str(table.num_rows), **({"rows": rows} if rows else {})}
        if rows and self.short:
            self.short -= 1
            return page | {"rows": rows[: len(rows) // 2]}
        return page | ({token: str(stop)} if stop < table.num_rows and most else {})

    # --- jobs -----------------------------------------------------------------------------------------------------

    def _insert_job(self, request: Request, given: Mapping[str, str]) -> dict[str, Any]:
        return self._start(self._body("jobs.insert", request.body), b"")

    def _upload(self, request: Request, given: Mapping[str, str]) -> dict[str, Any] | Reply:
        if request.query.get("uploadType") == "multipart":
            described, content = _multipart(request)
            return self._start(self._body("jobs.insert", described), content)
        upload = str(len(self._uploads))
        self._uploads[upload] = {"body": self._body("jobs.insert", request.body), "content": b"", "job": None}
        place = f"{self.origin}/upload/bigquery/v2/projects/{PROJECT}/jobs?uploadType=resumable&upload_id={upload}"
        return Reply(200, {}, {"Location": place})

    def _upload_chunk(self, request: Request, given: Mapping[str, str]) -> dict[str, Any] | Reply:
        upload = self._uploads.get(request.query.get("upload_id", ""))
        if upload is None:
            raise Refused(404, "notFound", "no such upload")
        if upload["job"] is not None:
            return self._shown_job(upload["job"])
        found = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", request.headers["content-range"])
        if found is None:
            raise Refused(400, "invalid", "no Content-Range")
        if found[1] is not None and int(found[1]) <= len(upload["content"]):
            upload["content"] = upload["content"][: int(found[1])] + request.body
        if found[2] == str(len(upload["content"])):
            upload["job"] = self._start(upload["body"], upload["content"])["jobReference"]["jobId"]
            return self._shown_job(upload["job"])
        seen = {"Range": f"bytes=0-{len(upload['content']) - 1}"} if upload["content"] else {}
        return Reply(308, None, seen)

    def _query(self, request: Request, given: Mapping[str, str]) -> dict[str, Any]:
        """`jobs.query`: a job that is waited for, with the first page of its rows."""
        body = self._body("jobs.query", request.body)
        keys = ("query", "useLegacySql", "queryParameters", "parameterMode", "maximumBytesBilled", "defaultDataset")
        config = {"query": {key: body[key] for key in keys if key in body}, "labels": body.get("labels", {})}
        if body.get("dryRun"):
            config["dryRun"] = True
        if body.get("requestId") in self.jobs:  # the same request once more
            return self._first_page(body, body["requestId"])
        job = self._start({"configuration": config, "jobReference": {"jobId": body.get("requestId", "")}}, b"")
        if body.get("dryRun"):
            statistics = job["statistics"]
            return {"kind": "bigquery#queryResponse", "jobComplete": True, "schema": statistics["query"]["schema"],
                    "totalBytesProcessed": statistics["totalBytesProcessed"]}  # fmt: skip
        return self._first_page(body, job["jobReference"]["jobId"])

    def _first_page(self, body: Mapping[str, Any], job: str) -> dict[str, Any]:
        query = {"maxResults": str(body["maxResults"])} if "maxResults" in body else {}
        query["formatOptions.useInt64Timestamp"] = str(body.get("formatOptions", {}).get("useInt64Timestamp", "false"))
        asked = Request("GET", "", query, {}, b"")
        found = self._query_results(asked, {"job": job})
        return found | {"kind": "bigquery#queryResponse"}

    def _start(self, body: dict[str, Any], content: bytes) -> dict[str, Any]:
        """A new job, done at once or after `pending` looks at it."""
        name = body.get("jobReference", {}).get("jobId") or f"server_{len(self.jobs)}"
        if not re.fullmatch(r"[\w-]{1,1024}", name, re.ASCII):
            raise Refused(400, "invalid", "Invalid job ID")
        if name in self.jobs:
            raise Refused(409, "duplicate", f"Already Exists: Job {PROJECT}:{LOCATION}.{name}")
        job: dict[str, Any] = {
            "kind": "bigquery#job", "id": f"{PROJECT}:{LOCATION}.{name}", "etag": "",
            "jobReference": {"projectId": PROJECT, "jobId": name, "location": LOCATION},
            "configuration": copy.deepcopy(body["configuration"]), "status": {"state": "RUNNING"},
            "statistics": {"creationTime": str(_millis()), "startTime": str(_millis())},
        }  # fmt: skip
        if body["configuration"].get("dryRun"):
            self._finish(job, content)
            if error := job["status"].get("errorResult"):
                raise Refused(400, error["reason"], error["message"])
            return job
        self.jobs[name], self._waits[name], self._content[name] = job, self.pending, content
        return self._shown_job(name) if not self.pending else job

    def _shown_job(self, name: str) -> dict[str, Any]:
        if name not in self.jobs:
            raise Refused(404, "notFound", f"Not found: Job {PROJECT}:{LOCATION}.{name}")
        job = self.jobs[name]
        if job["status"]["state"] != "DONE" and self._waits[name] == 0:
            self._finish(job, self._content.pop(name))
        self._waits[name] = max(0, self._waits[name] - 1)
        return job

    def _finish(self, job: dict[str, Any], content: bytes) -> None:
        config, statistics = job["configuration"], job["statistics"]
        job["status"] = {"state": "DONE"}
        statistics["endTime"] = str(_millis())
        try:
            if "load" in config:
                config["jobType"] = "LOAD"
                if reason := next(self._failures, ""):
                    raise Refused(400, reason, f"the job failed: {reason}")
                statistics["load"] = {"outputRows": str(self.state.load(config["load"], content))}
            else:
                config["jobType"] = "QUERY"
                answer = self.state.query(config["query"], dry=bool(config.get("dryRun")))
                if words := banned(config["query"]["query"]):
                    self.complain(f"SQL that this server cannot be trusted with: {', '.join(words)}")
                self._finish_query(job, answer)
        except Refused as refused:
            job["status"] |= {"errorResult": refused.as_json(), "errors": [refused.as_json()]}

    def _finish_query(self, job: dict[str, Any], answer: Answer) -> None:
        name = job["jobReference"]["jobId"]
        table = pa.table({}) if answer.table is None else answer.table
        job["statistics"] |= {"totalBytesProcessed": str(answer.bytes)}
        job["statistics"]["query"] = {
            "statementType": answer.kind, "totalBytesProcessed": str(answer.bytes), "cacheHit": False,
            "totalBytesBilled": str(billed(answer.bytes)), "schema": {"fields": schema_of(table.schema)},
        }  # fmt: skip
        if job["configuration"].get("dryRun"):
            return
        self._results[name] = table
        reference = {"projectId": PROJECT, "datasetId": _ANONYMOUS, "tableId": name}
        job["configuration"]["query"].setdefault("destinationTable", reference)
        if answer.kind != "SELECT":
            job["statistics"]["query"]["numDmlAffectedRows"] = str(answer.changed)

    def _get_job(self, request: Request, given: Mapping[str, str]) -> dict[str, Any]:
        return self._shown_job(given["job"])

    def _cancel_job(self, request: Request, given: Mapping[str, str]) -> dict[str, Any]:
        return {"kind": "bigquery#jobCancelResponse", "job": self._shown_job(given["job"])}

    def _query_results(self, request: Request, given: Mapping[str, str]) -> dict[str, Any]:
        job = self._shown_job(given["job"])
        reply: dict[str, Any] = {"kind": "bigquery#getQueryResultsResponse", "jobReference": job["jobReference"]}
        if job["status"]["state"] != "DONE":
            return reply | {"jobComplete": False}
        if error := job["status"].get("errorResult"):
            status = {"bytesBilledLimitExceeded": 500, "backendError": 503, "internalError": 500, "notFound": 404}
            raise Refused(status.get(error["reason"], 400), error["reason"], error["message"])
        statistics = job["statistics"]["query"]
        reply |= {"jobComplete": True, "cacheHit": False, "schema": statistics["schema"],
                  "totalBytesProcessed": statistics["totalBytesProcessed"]}  # fmt: skip
        if "numDmlAffectedRows" in statistics:
            return reply | {"numDmlAffectedRows": statistics["numDmlAffectedRows"]}
        return reply | self._rows(self._results[given["job"]], request, "pageToken")


Route = Callable[[BigQueryServer, Request, Mapping[str, str]], dict[str, Any] | Reply | None]

_P = "/bigquery/v2/projects/(?P<project>[^/]+)"
_D = f"{_P}/datasets/(?P<dataset>[^/]+)"
_T = f"{_D}/tables/(?P<table>[^/]+)"
_S = BigQueryServer
_ROUTES: tuple[tuple[str, str, str, Route], ...] = (
    ("GET", f"{_P}/datasets", "datasets.list", _S._list_datasets),
    ("POST", f"{_P}/datasets", "datasets.insert", _S._insert_dataset),
    ("GET", _D, "datasets.get", _S._get_dataset),
    ("PATCH", _D, "datasets.patch", _S._patch_dataset),
    ("DELETE", _D, "datasets.delete", _S._delete_dataset),
    ("GET", f"{_D}/tables", "tables.list", _S._list_tables),
    ("POST", f"{_D}/tables", "tables.insert", _S._insert_table),
    ("GET", _T, "tables.get", _S._get_table),
    ("PATCH", _T, "tables.patch", _S._patch_table),
    ("DELETE", _T, "tables.delete", _S._delete_table),
    ("GET", f"{_T}/data", "tabledata.list", _S._list_rows),
    ("POST", f"{_P}/jobs", "jobs.insert", _S._insert_job),
    ("POST", f"/upload{_P}/jobs", "jobs.insert", _S._upload),
    ("PUT", f"/upload{_P}/jobs", "jobs.insert", _S._upload_chunk),
    ("GET", f"{_P}/jobs/(?P<job>[^/]+)", "jobs.get", _S._get_job),
    ("POST", f"{_P}/jobs/(?P<job>[^/]+)/cancel", "jobs.cancel", _S._cancel_job),
    ("POST", f"{_P}/queries", "jobs.query", _S._query),
    ("GET", f"{_P}/queries/(?P<job>[^/]+)", "jobs.getQueryResults", _S._query_results),
)


def _error(refused: Refused) -> Reply:
    body = {"code": refused.status, "message": refused.message, "errors": [refused.as_json()], "status": ""}
    return Reply(refused.status, {"error": body})


def _multipart(request: Request) -> tuple[bytes, bytes]:
    """The two parts of a multipart/related upload: the job, and the file."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    parts = list(email.message_from_bytes(head + request.body, policy=email.policy.HTTP).iter_parts())
    if len(parts) != 2:
        raise Refused(400, "invalid", "a multipart upload has two parts")
    described, content = (part.get_payload(decode=True) for part in parts)
    return bytes(described), bytes(content)


def _changed(resource: dict[str, Any], body: Mapping[str, Any], request: Request) -> None:
    """A patch: keys that are sent are replaced, labels one by one; null takes away."""
    wanted = request.headers.get("if-match")
    if wanted is not None and wanted != resource["etag"]:
        raise Refused(412, "conditionNotMet", "the resource was changed since it was read")
    for key, value in body.items():
        if key == "labels":
            merged = resource.get("labels", {}) | value
            resource["labels"] = {name: text for name, text in merged.items() if text is not None}
        elif key != "etag":
            resource[key] = value
    resource |= {"etag": f"{time.time_ns()}", "lastModifiedTime": str(_millis())}
    for key in [key for key, value in resource.items() if value is None]:
        del resource[key]


def _stamps() -> dict[str, str]:
    return {"etag": f"{time.time_ns()}", "creationTime": str(_millis()), "lastModifiedTime": str(_millis())}


def _millis() -> int:
    return time.time_ns() // 1_000_000

"""Run a Functions app under Microsoft's execution engine (azure-functions-runtime) as the host does, without the host.

    host.py APP_DIR PATH... < a JSON object per line > a JSON object per line

The engine and the app are looked for in PATH... and APP_DIR alone: started with -I -S, nothing else of the machine is
seen. `protos` stands in for the messages between host and worker. Not here: keys, the timer's clock, leases.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import re
import resource
import sys
import time
import uuid
from types import SimpleNamespace
from typing import Any

HEAVY = ("alpaca", "curl_cffi", "deltalake", "duckdb", "jinja2", "numpy", "pandas", "polars", "pyarrow", "yfinance")
_TYPED = (
    "string json bytes stream http int double collection_bytes collection_string collection_double collection_sint64"
    " model_binding_data collection_model_binding_data"
)
_PLAIN = (
    "WorkerInitResponse FunctionMetadataResponse FunctionLoadResponse InvocationResponse RpcFunctionMetadata"
    " FunctionEnvironmentReloadResponse RpcRetryOptions RpcException RpcHttp RpcHttpCookie ParameterBinding"
    " WorkerMetadata"
    " NullableString NullableBool NullableDouble NullableTimestamp"
)


class Message:
    """What the host and its worker send each other: fields by name."""

    kinds: tuple[str, ...] = ()

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def WhichOneof(self, _: str) -> str | None:  # noqa: N802 — as protobuf has it
        return next((kind for kind in self.kinds if kind in self.__dict__), None)

    def HasField(self, name: str) -> bool:  # noqa: N802
        return self.__dict__.get(name) is not None


def make_protos() -> SimpleNamespace:
    def kind(name: str, kinds: tuple[str, ...] = (), **constants: Any) -> Any:
        return type(name, (Message,), {"kinds": kinds, **constants})

    made = {name: kind(name, ("data",) if name == "ParameterBinding" else ()) for name in _PLAIN.split()}
    made["TypedData"] = kind("TypedData", tuple(_TYPED.split()))
    made["StatusResult"] = kind("StatusResult", Failure=0, Success=1, Cancelled=2)
    made["BindingInfo"] = kind("BindingInfo", **{"in": 0}, out=1, inout=2, undefined=0, string=1, binary=2, stream=3)
    made["RpcRetryOptions"] = kind("RpcRetryOptions", exponential_backoff=0, fixed_delay=1)
    made["RpcHttpCookie"].SameSite = SimpleNamespace(Lax=1, Strict=2, ExplicitNone=3, **{"None": 0})
    return SimpleNamespace(**made)


PROTOS = make_protos()


def typed(value: Any) -> Any:
    if isinstance(value, Message):
        return value
    if isinstance(value, str):
        return PROTOS.TypedData(string=value)
    if isinstance(value, bytes):
        return PROTOS.TypedData(bytes=value)
    return PROTOS.TypedData(json=json.dumps(value))


def http(asked: dict[str, Any]) -> Any:
    body = typed(base64.b64decode(asked.get("body", "")))
    return PROTOS.TypedData(
        http=PROTOS.RpcHttp(
            method=asked["method"],
            url=asked["url"],
            headers=asked.get("headers", {}),
            query=asked.get("query", {}),
            params=asked.get("params", {}),
            body=body,
            rawBody=body,
            identities=[],
            nullable_headers={},
            nullable_query={},
            nullable_params={},
            cookies=[],
        )
    )


class Host:
    """Loads the app once and invokes its functions."""

    def __init__(self, engine: Any, app_dir: str) -> None:
        self._engine, self._dir = engine, app_dir
        self._functions: dict[str, Any] = {}

    async def start(self) -> dict[str, Any]:
        self._engine.start_threadpool_executor()
        wished = SimpleNamespace(capabilities={}, function_app_directory=self._dir)
        begun = time.perf_counter()
        started = await self._engine.worker_init_request(self._ask(worker_init_request=wished))
        seconds = time.perf_counter() - begun
        if started.result.status != 1:
            raise RuntimeError(started.result.exception.message + started.result.exception.stack_trace)
        listed = await self._engine.functions_metadata_request(self._ask())
        for each in listed.function_metadata_results:
            wished = SimpleNamespace(function_id=each.function_id, metadata=each)
            loaded = await self._engine.function_load_request(self._ask(function_load_request=wished))
            assert loaded.result.status == 1
            each.bound = [{k: self._resolved(v) for k, v in json.loads(b).items()} for b in each.raw_bindings]
            self._functions[each.name] = each
        retries = {n: vars(o) for n, f in self._functions.items() if (o := getattr(f, "retry_options", None))}
        return {
            "seconds": seconds,
            "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "heavy": [name for name in HEAVY if name in sys.modules],
            "modules": sorted({name.partition(".")[0] for name in sys.modules}),
            "functions": {name: f.bound for name, f in self._functions.items()},
            "retries": {name: {k: str(v) for k, v in options.items()} for name, options in retries.items()},
        }

    async def invoke(self, asked: dict[str, Any]) -> dict[str, Any]:
        function = self._functions[asked["function"]]
        given = {k: http(v) if k == "req" else v for k, v in asked["inputs"].items()}
        trace = SimpleNamespace(trace_parent="", trace_state="", attributes={})
        failed = PROTOS.RpcException(source="", stack_trace="", message="")
        wished = SimpleNamespace(
            invocation_id=str(uuid.uuid4()),
            function_id=function.function_id,
            input_data=[PROTOS.ParameterBinding(name=k, data=typed(v)) for k, v in given.items()],
            trigger_metadata={},
            trace_context=trace,
            retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=failed),
        )
        done = await self._engine.invocation_request(self._ask(invocation_request=wished))
        if done.result.status != 1:
            return {"ok": False, "error": done.result.exception.message, "stack": done.result.exception.stack_trace}
        reply = getattr(getattr(done, "return_value", None), "http", None)
        if reply is None:
            return {"ok": True}
        body = reply.body.bytes
        return {"ok": True, "status": int(reply.status_code), "headers": dict(reply.headers), "body": body.decode()}

    def _ask(self, **fields: Any) -> Any:
        return SimpleNamespace(request=SimpleNamespace(**fields), properties={"host": "127.0.0.1", "protos": PROTOS})

    def _resolved(self, value: Any) -> Any:
        """Put app settings in place of %NAME%; one that is missing is an error, as in the host."""
        return re.sub(r"%([^%]+)%", lambda m: os.environ[m[1]], value) if isinstance(value, str) else value


async def main(app_dir: str) -> None:
    import azure_functions_runtime as engine

    logging.basicConfig(
        stream=sys.stderr, format="%(message)s", level=logging.INFO
    )  # as the host's worker collects lines
    loop, out = asyncio.get_running_loop(), os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the app prints is no answer

    def say(answer: Any) -> None:
        out.write(json.dumps(answer) + "\n")
        out.flush()

    host = Host(engine, app_dir)
    say(await host.start())
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        asked = json.loads(line)
        answers = await asyncio.gather(*(host.invoke(each) for each in asked))  # at the same time
        say(answers)


if __name__ == "__main__":
    sys.path[:0] = [*sys.argv[2:], sys.argv[1]]
    asyncio.run(main(sys.argv[1]))
    os._exit(0)  # threads of the engine

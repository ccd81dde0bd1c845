"""What the tests of the Python client share: which client this is, a connection, and what it asks the registry.

The tests are the same for both clients but for what only one of them has, which is named here.
"""

import contextlib
import itertools
import json
import logging
import os
import unittest
from unittest import mock

import mr_openapi
from model_registry import ModelRegistry

# Which prefix of the API the client calls. v1 has no experiments, and so artifacts no fields that say which run made them;
# and a metric's step is a string there.
API = os.environ["API"]
# The prefix that another client called before, which left there what its tests made.
BEFORE = os.environ.get("BEFORE")
HAS_EXPERIMENTS = hasattr(ModelRegistry, "start_experiment_run")

AUTHOR = "ada"


class RegistryTest(unittest.TestCase):
    """A test that talks to the registry, and calls what it makes there by the client and the test."""

    maxDiff = None

    def setUp(self):
        self.registry = connect()
        self.prefix = f"{API}.{self._testMethodName}"

    def await_(self, coroutine):
        return self.registry.async_runner(coroutine)

    def generated(self, call):
        """What `call` answers, which is given the API that was generated from the OpenAPI document: one operation each."""

        async def run():
            async with self.registry._api.get_client() as api:
                return await call(api)

        return self.await_(run())

    def register(self, name, version="v1", **arguments):
        """Registers a version with no more than must be said, or with what is said."""
        must = {"model_format_name": "onnx", "model_format_version": "1"}
        return self.registry.register_model(name, f"s3://models/{name}", version=version, **{**must, **arguments})

    def assert_same(self, found, expected):
        """They are the same but for when they were made and changed."""
        times = {"create_time_since_epoch", "last_update_time_since_epoch"}
        self.assertIs(type(found), type(expected))
        self.assertEqual(found.model_dump(exclude=times), expected.model_dump(exclude=times))

    @contextlib.contextmanager
    def refused(self, error, code, ending):
        """The registry refuses what is asked, with a status that the client has an error for, and says why."""
        with self.assertRaises(error) as caught:
            yield
        body = json.loads(caught.exception.body)
        self.assertEqual(sorted(body), ["code", "message"])
        self.assertEqual(body["code"], code)
        self.assertTrue(body["message"].endswith(ending), body["message"])


def connect():
    # The registry takes no notice of the token, and the client is quiet with one.
    return ModelRegistry(
        os.environ["REGISTRY_HOST"],
        int(os.environ["REGISTRY_PORT"]),
        author=AUTHOR,
        is_secure=False,
        user_token="of no account",
        log_level=logging.ERROR,
    )


@contextlib.contextmanager
def requests():
    """Gathers the method and the address of each request that is made meanwhile."""
    made = []
    call_api = mr_openapi.ApiClient.call_api

    async def noted(self, method, url, *arguments, **named):
        made.append((method, url))
        return await call_api(self, method, url, *arguments, **named)

    with mock.patch.object(mr_openapi.ApiClient, "call_api", noted):
        yield made


def everything(pager):
    """All that a pager goes through, which ends where the token of the first page comes again, and only there."""
    found = list(itertools.islice(pager, 10_000))
    assert len(found) < 10_000, "the pager does not end: is a page's token another one each time?"
    return found

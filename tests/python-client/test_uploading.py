"""The client uploads a model to S3, and registers where it is."""

import logging
import pathlib
import tempfile

import boto3
from client import RegistryTest
from model_registry.exceptions import StoreError
from model_registry.utils import S3Params
from moto.server import ThreadedMotoServer

KEYS = {"access_key_id": "test", "secret_access_key": "test"}
REGION = "us-east-1"


class Uploading(RegistryTest):
    @classmethod
    def setUpClass(cls):
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        cls.server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        cls.server.start()
        cls.addClassCleanup(cls.server.stop)
        cls.endpoint = "http://{}:{}".format(*cls.server.get_host_and_port())

    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.files = {
            "config.json": b"{}",
            # More than what the client sends in one piece.
            "weights/model.safetensors": bytes(range(256)) * 6 * 1024,
        }
        self.directory = pathlib.Path(directory.name)
        for name, content in self.files.items():
            path = self.directory / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        self.s3 = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        self.bucket = self.prefix.replace("_", "-")[:63].rstrip("-")
        self.s3.create_bucket(Bucket=self.bucket)

    def upload(self, path, version="v1"):
        return self.registry.upload_artifact_and_register_model(
            self.prefix,
            str(path),
            upload_params=S3Params(
                bucket_name=self.bucket, s3_prefix=f"granite/{version}", endpoint_url=self.endpoint, region=REGION, **KEYS
            ),
            version=version,
            model_format_name="safetensors",
            model_format_version="1",
            storage_key="models",
            storage_path="granite",
            owner="team-a",
            version_description="Uploaded.",
            metadata={"size": 8},
        )

    def stored(self):
        listed = self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {item["Key"]: self.s3.get_object(Bucket=self.bucket, Key=item["Key"])["Body"].read() for item in listed}

    def test_a_directory_is_uploaded_and_registered(self):
        model = self.upload(self.directory)
        self.assertEqual(self.stored(), {f"granite/v1/{name}": content for name, content in self.files.items()})
        version = self.registry.get_model_version(self.prefix, "v1")
        artifact = self.registry.get_model_artifact(self.prefix, "v1")
        self.assertEqual((model.owner, version.registered_model_id), ("team-a", model.id))
        self.assertEqual((version.description, version.custom_properties), ("Uploaded.", {"size": 8}))
        self.assertEqual(
            artifact.uri, f"s3://{self.bucket}/granite/v1?endpoint={self.endpoint}&defaultRegion={REGION}"
        )
        self.assertEqual((artifact.storage_key, artifact.storage_path), ("models", "granite"))

    def test_a_version_that_exists_is_not_uploaded(self):
        self.register(self.prefix)
        with self.assertRaisesRegex(StoreError, "already exists"):
            self.upload(self.directory)
        self.assertEqual(self.stored(), {})

"""Uploads a model to S3 and registers it, as data scientists do: with the Model Registry's Python client."""

import logging
import sys
from urllib.parse import urlsplit

from model_registry import ModelRegistry
from model_registry.utils import S3Params

registry, endpoint, bucket, model, version, directory = sys.argv[1:]
address = urlsplit(registry)
client = ModelRegistry(
    f"{address.scheme}://{address.hostname}",
    address.port,
    author="ada",
    is_secure=False,
    user_token="of no account",
    log_level=logging.ERROR,
)
client.upload_artifact_and_register_model(
    model,
    directory,
    upload_params=S3Params(
        bucket_name=bucket,
        s3_prefix=f"{model}/{version}",
        endpoint_url=endpoint.rstrip("/"),
        access_key_id="demo",
        secret_access_key="demo",
        region="us-east-1",
    ),
    version=version,
    model_format_name="safetensors",
    model_format_version="1",
)

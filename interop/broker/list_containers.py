"""A program as a developer writes it with Microsoft's package: sign in and list the blob containers."""

import sys

import msal
from azure.identity.broker import InteractiveBrowserBrokerCredential
from azure.storage.blob import BlobServiceClient

credential = InteractiveBrowserBrokerCredential(
    parent_window_handle=msal.PublicClientApplication.CONSOLE_WINDOW_HANDLE
)
service = BlobServiceClient(sys.argv[1], credential=credential)
for container in service.list_containers():
    print(container.name)

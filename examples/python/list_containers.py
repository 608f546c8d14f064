"""Lists the blob containers of a storage account, signing in through the broker.

list_containers.py ACCOUNT_URL [--tenant TENANT] [--authority URL] [--login-hint UPN]
"""

import argparse

from azure.storage.blob import BlobServiceClient

import keybearer

STORAGE = "https://storage.azure.com/.default"


def main() -> None:
    parser = argparse.ArgumentParser(description="List the blob containers of a storage account.")
    parser.add_argument("account_url")
    parser.add_argument("--tenant")
    parser.add_argument("--authority")
    parser.add_argument("--login-hint")
    arguments = parser.parse_args()
    chosen = {
        "tenant_id": arguments.tenant,
        "authority": arguments.authority,
        "login_hint": arguments.login_hint,
    }
    credential = keybearer.InteractiveBrowserBrokerCredential(
        parent_window_handle=keybearer.CONSOLE_WINDOW_HANDLE,
        use_default_broker_account=True,
        timeout=120,
        **{name: value for name, value in chosen.items() if value is not None},
    )

    # `acquire` also returns the account and the source of the token, which the client does not show.
    token = credential.acquire(STORAGE)
    print(f"token for {token.username} from {token.source}")

    with BlobServiceClient(arguments.account_url, credential=credential) as service:
        for container in service.list_containers():
            print(f"container {container.name}")


if __name__ == "__main__":
    main()

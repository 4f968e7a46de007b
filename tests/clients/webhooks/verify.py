"""Reads a delivery as one line of JSON, {"secret", "headers", "body"}, and says whether the Python library takes it."""

import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError

for line in sys.stdin:
    delivery = json.loads(line)
    try:
        Webhook(delivery["secret"]).verify(delivery["body"], delivery["headers"])
        print("good", flush=True)
    except WebhookVerificationError as error:
        print(f"bad: {error}", flush=True)

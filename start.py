"""`make run`: starts both services, with Dapr if it is installed and else with the local sidecar.

usage: .venv/bin/python start.py [auto|dapr|local] [STORE]

STORE names a folder of `components/`, for example sqlite. Without it, `components/` itself is used: Redis. If something
prevents the start, nothing is started and one line says what and what to do.
"""

import signal
import sys

if __name__ == "__main__":
    # Before the longer imports: until the services are started, Ctrl-C ends this process without a stack trace.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from launcher.main import main

    mode, *stores = sys.argv[1:] or ["auto"]
    if mode not in ("auto", "dapr", "local") or len(stores) > 1:
        sys.exit(__doc__)
    sys.exit(main(mode, stores[0] if stores and stores[0] else None))

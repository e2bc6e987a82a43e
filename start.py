"""`make run`: starts both services, with Dapr if it is installed and else with the local sidecar.

usage: .venv/bin/python start.py [auto|dapr|local] [STORE]

STORE names a folder of `components/`, for example sqlite. Without it, `components/` itself is used: Redis. If something
prevents the start, nothing is started and one line says what and what to do.
"""

import sys

if __name__ == "__main__":
    # Until the services are started Ctrl-C ends this process without a stack trace. So every longer import comes later:
    # `make` starts Python with -S, which leaves out the import of `site`, the longest one.
    try:
        import signal

        signal.signal(signal.SIGINT, signal.SIG_DFL)
    except KeyboardInterrupt:
        sys.exit(130)
    if sys.flags.no_site:
        import site

        site.main()
    from launcher.main import main

    mode, *stores = sys.argv[1:] or ["auto"]
    if mode not in ("auto", "dapr", "local") or len(stores) > 1:
        sys.exit(__doc__)
    sys.exit(main(mode, stores[0] if stores and stores[0] else None))

"""What the rings share: fixtures, waiting, the leak check, clients. No tests here."""

-- Run once, on an empty volume: the ledger's database beside Dagster's own, so that each is backed up and restored alone.
CREATE DATABASE signals;

module weft.dev/e2e/protocols

go 1.24

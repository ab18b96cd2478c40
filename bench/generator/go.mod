module weft.dev/bench/generator

go 1.25

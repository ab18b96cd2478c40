/** By what a request was denied, as its log, its trace and, where it may know, its caller are told. */

/** decision: its number, '' where there is none. policy: `NAMESPACE/NAME`; rule: its place there; both '' where none allowed it. condition: the first that decided, made when it is asked for. */
export type Denial = { readonly decision: string; readonly policy: string; readonly rule: string; readonly condition: () => string }

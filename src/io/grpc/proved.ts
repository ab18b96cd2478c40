/** Who a client is, by the certificate that it showed. */

/** What the owner makes of a client's certificate. notAfter: milliseconds since the epoch; later calls on the connection are refused. */
export type Identified = Proved | { readonly refused: string }

/** serial: lower-case hex. */
export type Proved = { readonly peer: string; readonly notAfter: number; readonly serial: string }

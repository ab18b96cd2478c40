/**
 * DNS messages as bytes (RFC 1035, EDNS(0) of RFC 6891): what a resolver for one machine needs. Read a query and answer it; ask another server and read
 * its reply; cut a TCP stream into messages. No socket, no cache, no retry.
 */

export { parseQuery, parseReply } from './dns/read.ts'
export { encodeAnswer, encodeQuery } from './dns/write.ts'
export { DnsStream, framed } from './dns/stream.ts'
export { dnsTypes } from './dns/message.ts'
export type { Answer, Incoming, Query } from './dns/message.ts'

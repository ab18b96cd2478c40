/**
 * DNS messages as bytes (RFC 1035, EDNS(0) of RFC 6891): what a resolver for one machine needs. Read a query and answer it; ask another server and read
 * its reply, and hand that on to whoever asked, now or while it may be kept; cut a TCP stream into messages. No socket, no clock, no retry.
 */

export { parseQuery, parseReply } from './dns/read.ts'
export { encodeAnswer, encodeQuery } from './dns/write.ts'
export { handOn, type Kept, readKept } from './dns/kept.ts'
export { DnsStream, framed } from './dns/stream.ts'
export { dnsCodes, dnsTypes } from './dns/message.ts'
export type { Answer, Incoming, Query, Question } from './dns/message.ts'

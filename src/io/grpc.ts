/**
 * gRPC over mutual TLS 1.3: `Rpc` descriptions in, sockets inside. This file is the door; the work is in grpc/.
 *
 * One port serves callers with and without a certificate. Services demand a verified one unless they say `open`. Certificates rotate on both
 * ends without cutting anything: the server gives new ones to new connections, the client shows its newest when it connects, and `renew`
 * moves later calls to such a connection.
 */

export { type CallOptions, connectGrpc, connectLocal, type ConnectGrpcOptions, type GrpcChannel } from './grpc/connect.ts'
export { serveAttested, serveEach } from './grpc/attested.ts'
export { type GrpcServer, serveGrpc, type ServeGrpcOptions } from './grpc/serve.ts'
export type { Identified } from './grpc/proved.ts'
export { type LocalServer, serveLocal } from './grpc/local.ts'
export { type Call, type Service, type ServiceOptions, serverStream, stream, unary } from './grpc/service.ts'
export { RpcError, type RpcMetadata, type RpcStatus, rpcCodes } from './grpc/status.ts'
export type { GrpcStream, StreamEvents } from './grpc/stream.ts'
export type { ClientTls, KeyAndChain } from './grpc/tls.ts'

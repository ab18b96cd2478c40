/** A plain gRPC server that knows nothing of the mesh: whatever is called on its port, it tells who it is, what was called and which metadata came. */

import * as grpc from '@grpc/grpc-js'

const instance = process.env['INSTANCE'] ?? 'nobody'
const raw = (bytes: Buffer): Buffer => bytes
const method = (path: string): grpc.MethodDefinition<Buffer, Buffer> => ({
  path,
  requestStream: false,
  responseStream: false,
  requestSerialize: raw,
  requestDeserialize: raw,
  responseSerialize: raw,
  responseDeserialize: raw,
})
const answer: grpc.handleUnaryCall<Buffer, Buffer> = (call, done) => {
  const trailers = new grpc.Metadata()
  trailers.set('x-trailer', instance)
  const head = new grpc.Metadata()
  head.set('x-secret', 'of the server')
  call.sendMetadata(head)
  done(null, Buffer.from(JSON.stringify({ instance, path: call.getPath(), metadata: call.metadata.getMap() })), trailers)
}

const services = ['shop.v1.Cart', 'shop.v2.Cart', 'shop.v1.Stock', 'audit.Log', 'shop.v1.Lost', 'shop.v1.Half']
const methods = ['Get', 'List', 'Add']
const server = new grpc.Server()
for (const service of services)
  server.addService(
    Object.fromEntries(methods.map(name => [name, method(`/${service}/${name}`)])),
    Object.fromEntries(methods.map(name => [name, answer])),
  )
server.bindAsync(`0.0.0.0:${process.argv[2]}`, grpc.ServerCredentials.createInsecure(), fault => {
  if (fault) throw fault
})
process.once('SIGTERM', () => server.forceShutdown())

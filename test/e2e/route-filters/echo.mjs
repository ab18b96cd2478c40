// Gives every byte back.
import { createServer } from 'node:net'

createServer(socket => socket.on('error', () => {}).pipe(socket)).listen(7000, '127.0.0.1')

// A client of Node's own WebSocket. node talk.mjs URL
const socket = new WebSocket(process.argv[2])
socket.onerror = ({ message }) => console.log(`error ${message}`)
socket.onopen = () => socket.send('hello through the mesh')
socket.onmessage = ({ data }) => {
  console.log(data)
  socket.close()
}

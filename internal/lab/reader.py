# reader.py ADDRESS PORT MAILBOX PASSWORD DIRECTORY: reads a mailbox over POP3
# with the UTF8 mode of RFC 6856, which curl does not know. Prints the lines of
# LIST and writes each message to a file that is named by its number. Deletes
# nothing. Octets are kept; a line ends in CR LF only.
import socket
import sys

address, port, mailbox, password, directory = sys.argv[1:]
server = socket.create_connection((address, int(port)), 10)
server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
stream = server.makefile("rb")


def line():
    octets = b""
    while not octets.endswith(b"\r\n"):
        part = stream.readline()
        if not part:
            sys.exit("the server closed the connection")
        octets += part
    return octets


def answer_to(command):
    server.sendall(command.encode() + b"\r\n")
    return line()


def ask(command):
    answer = answer_to(command)
    if not answer.startswith(b"+OK"):
        sys.exit("%s: %r" % (command.split()[0], answer))


def body():
    while (octets := line()) != b".\r\n":
        yield octets[1:] if octets.startswith(b"..") else octets


line()
capabilities = list(body()) if answer_to("CAPA").startswith(b"+OK") else []
words = {c.split()[0].upper() for c in capabilities if c.split()}
if b"UTF8" in words:
    ask("UTF8")
ask("USER " + mailbox)
ask("PASS " + password)
ask("LIST")
rows = list(body())
if answer_to("UIDL").startswith(b"+OK"):
    list(body())  # Mailutils writes it into a header, which RETR then shows
numbers = [row.split()[0].decode() for row in rows]
window = 16 if b"PIPELINING" in words else 1
server.sendall(b"".join(b"RETR %s\r\n" % n.encode() for n in numbers[:window]))
for i, number in enumerate(numbers):
    answer = line()
    if not answer.startswith(b"+OK"):
        sys.exit("RETR %s: %r" % (number, answer))
    with open("%s/%s" % (directory, number), "wb") as f:
        f.writelines(body())
    if i + window < len(numbers):
        server.sendall(b"RETR %s\r\n" % numbers[i + window].encode())
ask("QUIT")
if stream.read():
    sys.exit("octets behind the answer to QUIT")
sys.stdout.buffer.writelines(rows)

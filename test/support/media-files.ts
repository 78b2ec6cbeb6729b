// Small files with real content, made here: a repository should not carry pictures for tests.
import { crc32, deflateSync } from 'node:zlib'

/** A PNG of one colour. @param padding bytes of a text chunk, for a file of some size. */
export function makePng({ width = 4, height = 4, padding = 0 } = {}): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  // 8 bits of each channel, truecolour.
  header.set([8, 2, 0, 0, 0], 8)
  const row = Buffer.concat([Buffer.of(0), Buffer.alloc(width * 3, 0x88)])
  const pixels = deflateSync(Buffer.concat(Array.from({ length: height }, () => row)))
  const chunks = [
    chunk('IHDR', header),
    chunk('tEXt', Buffer.alloc(padding, 0x61)),
    chunk('IDAT', pixels),
    chunk('IEND'),
  ]
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), ...chunks])
}

function chunk(type: string, data: Buffer = Buffer.alloc(0)): Buffer {
  const typed = Buffer.concat([Buffer.from(type, 'latin1'), data])
  return Buffer.concat([uint32(data.length), typed, uint32(crc32(typed))])
}

/** A GIF with this number of pictures. @param padding bytes of a comment. */
export function makeGif({ width = 2, height = 2, frames = 2, padding = 0 } = {}): Buffer {
  const size = Buffer.alloc(4)
  size.writeUInt16LE(width, 0)
  size.writeUInt16LE(height, 2)
  // A global colour table of two colours; each picture is one pixel.
  const head = Buffer.concat([Buffer.from('GIF89a'), size, Buffer.of(0x80, 0, 0), Buffer.of(0, 0, 0, 255, 255, 255)])
  const frame = Buffer.of(0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0)
  const comments = Array.from({ length: Math.ceil(padding / 255) }, () => Buffer.from([255, ...Array(255).fill(0x61)]))
  const comment = padding === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.of(0x21, 0xfe), ...comments, Buffer.of(0)])
  return Buffer.concat([head, comment, ...Array.from({ length: frames }, () => frame), Buffer.of(0x3b)])
}

/** A JPEG with a header alone: enough to tell its type and dimensions. */
export function makeJpeg({ width = 8, height = 8, padding = 0 } = {}): Buffer {
  const frame = Buffer.from([0xff, 0xc0, 0, 11, 8, 0, 0, 0, 0, 1, 1, 0x11, 0])
  frame.writeUInt16BE(height, 5)
  frame.writeUInt16BE(width, 7)
  return Buffer.concat([
    Buffer.of(0xff, 0xd8),
    frame,
    Buffer.of(0xff, 0xda, 0, 2),
    Buffer.alloc(padding, 0x61),
    Buffer.of(0xff, 0xd9),
  ])
}

/** The start of an MP4: all boxes but the pictures, for which `mediaBytes` bytes have to follow. */
export function mp4Head({ width = 320, height = 240, seconds = 2, mediaBytes = 0 } = {}): Buffer {
  const movieHeader = Buffer.concat([Buffer.alloc(12), uint32(1000), uint32(seconds * 1000), Buffer.alloc(80)])
  const trackHeader = Buffer.concat([Buffer.alloc(76), uint32(width * 65_536), uint32(height * 65_536)])
  const moov = box('moov', Buffer.concat([box('mvhd', movieHeader), box('trak', box('tkhd', trackHeader))]))
  const start = box('ftyp', Buffer.concat([Buffer.from('isom'), uint32(512), Buffer.from('isomiso2mp41')]))
  return Buffer.concat([start, moov, uint32(mediaBytes + 8), Buffer.from('mdat')])
}

/** An MP4 of this duration, without pictures. */
export function makeMp4(
  options: { width?: number; height?: number; seconds?: number; mediaBytes?: number } = {},
): Buffer {
  return Buffer.concat([mp4Head(options), Buffer.alloc(options.mediaBytes ?? 0, 0x61)])
}

function box(type: string, data: Buffer): Buffer {
  return Buffer.concat([uint32(data.length + 8), Buffer.from(type), data])
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

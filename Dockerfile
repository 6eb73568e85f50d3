# Cairn as an image: one static-enough file on Debian slim, for any uid, without privileges: the tailnet runs in userspace and no port of the container is opened.
#   docker build -t cairn .
#   docker run -v cairn:/var/lib/cairn -v ./ts_authkey:/run/secrets/ts_authkey:ro -e TS_AUTHKEY_FILE=/run/secrets/ts_authkey cairn
# Where this file was written there was no container engine: the image was never built. The commands of the second stage are run by
# test/binary/image.test.ts with the compiled file, as uid 65532, in a read-only root that holds nothing else but a shell and their libraries.
ARG DEBIAN=bookworm
ARG GO=1.26
ARG NODE=24

FROM node:${NODE}-${DEBIAN}-slim AS node

FROM golang:${GO}-${DEBIAN} AS build
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=node /usr/local/lib/node_modules/npm /usr/local/lib/node_modules/npm
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
WORKDIR /src
COPY native/go.mod native/go.sum native/
RUN go -C native mod download
COPY . .
# Node's names of this machine: linux-x64, linux-arm64.
RUN npm run build -- --target "linux-$(node -p process.arch)" && mv "dist/cairn-linux-$(node -p process.arch)" /cairn

FROM debian:${DEBIAN}-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 65532 --user-group --home-dir /var/lib/cairn --shell /usr/sbin/nologin cairn \
 && install -d -m 0700 -o cairn -g cairn /var/lib/cairn /run/cairn /run/cairn-tickets
COPY --from=build --chmod=0755 /cairn /usr/local/bin/cairn
ENV CAIRN_DATA=/var/lib/cairn HOME=/var/lib/cairn TMPDIR=/tmp
USER 65532:65532
VOLUME /var/lib/cairn
WORKDIR /var/lib/cairn
# The node hands leadership over, drains and ends; 10 seconds are enough.
STOPSIGNAL SIGTERM
# Exits 3 when the node is failing or still joins its fleet, 32 when it does not run.
HEALTHCHECK --interval=15s --timeout=5s --start-period=90s --retries=3 CMD ["cairn", "status", "--ready", "--json"]
ENTRYPOINT ["cairn"]
CMD ["serve"]

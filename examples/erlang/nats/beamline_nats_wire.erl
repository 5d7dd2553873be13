%% The NATS protocol as bytes: what the server says, and what is said to it. Nothing here does I/O.
-module(beamline_nats_wire).

-export([parse/1, connect/1, subscribe/3, unsubscribe/1, publish/4]).
-export_type([headers/0, message/0]).

-type headers() :: [{binary(), binary()}].
-type message() :: #{
    reply_to := binary() | undefined,
    %% Of the server itself: 503 says that nobody is subscribed.
    status := undefined | pos_integer(),
    headers := headers(),
    payload := binary()
}.
-type operation() :: info | ping | pong | ok | {error, binary()} | {message, pos_integer(), message()}.

%% The longest control line that is waited for, in bytes; the server's own limit is 4096, but for
%% INFO.
-define(MAX_LINE, 65536).
-define(is_digit(C), (C >= $0 andalso C =< $9)).

%% The next operation of `Buffer`, or `more` while it is not all there. Fails on anything else.
-spec parse(binary()) -> {operation(), binary()} | more.
parse(Buffer) ->
    case binary:split(Buffer, <<"\r\n">>) of
        [Line, Rest] -> operation(Line, Rest);
        [Part] when byte_size(Part) =< ?MAX_LINE -> more
    end.

operation(<<"INFO ", _/binary>>, Rest) -> {info, Rest};
operation(<<"PING">>, Rest) -> {ping, Rest};
operation(<<"PONG">>, Rest) -> {pong, Rest};
operation(<<"+OK">>, Rest) -> {ok, Rest};
operation(<<"-ERR ", Reason/binary>>, Rest) -> {{error, Reason}, Rest};
operation(<<"MSG ", Arguments/binary>>, Rest) ->
    {Number, ReplyTo, [Size]} = arguments(Arguments, 1),
    message(Number, ReplyTo, 0, Size, Rest);
operation(<<"HMSG ", Arguments/binary>>, Rest) ->
    {Number, ReplyTo, [HeaderSize, Size]} = arguments(Arguments, 2),
    message(Number, ReplyTo, HeaderSize, Size, Rest).

%% `<subject> <number> [reply-to] <sizes>`.
arguments(Arguments, Sizes) ->
    [_Subject, Number | Rest] = binary:split(Arguments, <<" ">>, [global, trim_all]),
    {ReplyTo, Last} =
        case length(Rest) - Sizes of
            0 -> {undefined, Rest};
            1 -> {hd(Rest), tl(Rest)}
        end,
    {binary_to_integer(Number), ReplyTo, [binary_to_integer(Size) || Size <- Last]}.

message(Number, ReplyTo, HeaderSize, Size, Rest) ->
    PayloadSize = Size - HeaderSize,
    case Rest of
        <<Head:HeaderSize/binary, Payload:PayloadSize/binary, "\r\n", Rest2/binary>> ->
            {Status, Headers} = head(Head),
            Message = #{reply_to => ReplyTo, status => Status, headers => Headers, payload => Payload},
            {{message, Number, Message}, Rest2};
        _ when byte_size(Rest) < Size + 2 ->
            more
    end.

%% Any client can send any block: what cannot be read of it is left out, and ends no connection.
head(<<"NATS/1.0", Head/binary>>) ->
    [First | Lines] = binary:split(Head, <<"\r\n">>, [global]),
    {status(First), [Header || Line <- Lines, Header <- header(Line)]};
head(_) ->
    {undefined, []}.

status(<<" ", A, B, C, _/binary>>) when ?is_digit(A), ?is_digit(B), ?is_digit(C) ->
    binary_to_integer(<<A, B, C>>);
status(_) ->
    undefined.

header(Line) ->
    Parts = [{capture, all_but_first, binary}, dotall, dollar_endonly],
    case re:run(Line, "^([^:]+):[ \t]*(.*?)[ \t]*$", Parts) of
        {match, [Name, Value]} -> [{Name, Value}];
        nomatch -> []
    end.

%% With `no_responders`, a request to nobody is answered at once.
-spec connect(map()) -> iodata().
connect(Login) ->
    Options = #{verbose => false, pedantic => false, headers => true, no_responders => true},
    [<<"CONNECT ">>, beamline_json:encode(maps:merge(Login, Options)), <<"\r\n">>].

-spec subscribe(pos_integer(), binary(), binary()) -> iodata().
subscribe(Number, Subject, Group) ->
    [<<"SUB ">>, Subject, $\s, Group, $\s, integer_to_binary(Number), <<"\r\n">>].

-spec unsubscribe(pos_integer()) -> iodata().
unsubscribe(Number) ->
    [<<"UNSUB ">>, integer_to_binary(Number), <<"\r\n">>].

%% A message with a reply subject, or without one (`<<>>`).
-spec publish(binary(), binary(), headers(), binary()) -> iodata().
publish(Subject, ReplyTo, [], Payload) ->
    Size = integer_to_binary(byte_size(Payload)),
    [<<"PUB ">>, Subject, $\s, ReplyTo, $\s, Size, <<"\r\n">>, Payload, <<"\r\n">>];
publish(Subject, ReplyTo, Headers, Payload) ->
    Lines = [[Name, <<": ">>, Value, <<"\r\n">>] || {Name, Value} <- Headers],
    Head = iolist_to_binary([<<"NATS/1.0\r\n">>, Lines, <<"\r\n">>]),
    HeadSize = integer_to_binary(byte_size(Head)),
    Size = integer_to_binary(byte_size(Head) + byte_size(Payload)),
    [<<"HPUB ">>, Subject, $\s, ReplyTo, $\s, HeadSize, $\s, Size, <<"\r\n">>, Head, Payload, <<"\r\n">>].

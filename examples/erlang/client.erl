%% A router's side: a line of input is a request, VERB PAYLOAD; a line of output is a reply to one.
%%
%%     lookup normalize_text
%%     invoke {"id":"normalize_text","payload":{"text":" Hi "}}
%%     stream {"id":"normalize_text","payload":{"text":"one two three"}}
%%     cancel                                      (ends the last stream)
-module(client).

-export([main/0]).

%% What a reply may take on its way.
-define(MARGIN_MS, 500).

main() ->
    {ok, _} = beamline_nats:start_link(os:getenv("NATS_URL", "nats://127.0.0.1:4222")),
    %% Bytes in, and bytes out by a port of our own: standard output waits while a line is read.
    ok = io:setopts(standard_io, [binary, {encoding, latin1}]),
    read(open_port({fd, 0, 1}, [out, binary]), [], <<>>).

%% `Calls`: the processes that ask, one each: a stream does not hold up the next request.
read(Output, Calls, Last) ->
    case file:read_line(standard_io) of
        {ok, Line} ->
            [Words | _] = binary:split(Line, <<"\n">>),
            [Word | Rest] = binary:split(Words, <<" ">>),
            {Verb, Payload, Headers, Id} = request(Word, iolist_to_binary(Rest), Last),
            {_, Call} = spawn_monitor(fun() -> ask(Output, Verb, Payload, Headers) end),
            read(Output, [Call | Calls], Id);
        eof ->
            [receive {'DOWN', Call, process, _, _} -> ok end || Call <- Calls]
    end.

%% `Last`: the id of the last stream, which `cancel` ends.
request(<<"stream">>, Payload, _) ->
    Call = random(),
    Headers = [{<<"Beamline-Accept">>, <<"stream">>}, {<<"Beamline-Call-Id">>, Call}],
    {<<"invoke">>, Payload, Headers, Call};
request(<<"cancel">>, _, Last) ->
    %% Asks every sidecar; the one that has the call answers.
    {<<"all.cancel">>, beamline_json:encode(#{call => Last}), [], Last};
request(Verb, Payload, Last) ->
    {Verb, Payload, [], Last}.

%% Asks the sidecar of this pod, then one of the group, and prints each reply with its sender.
ask(Output, Verb, Payload, Headers) ->
    DeadlineMs = list_to_integer(os:getenv("DEADLINE_MS", "5000")),
    End = erlang:monotonic_time(millisecond) + DeadlineMs + ?MARGIN_MS,
    %% After it, the registry gives up too.
    Head = [{<<"Beamline-Deadline-Ms">>, integer_to_binary(DeadlineMs)} | Headers],
    Print = fun(Words) -> port_command(Output, [lists:join($\s, Words), $\n]) end,
    Send = fun(Subject, Inbox) -> beamline_nats:publish(Subject, Inbox, Head, Payload) end,
    case round(subjects(Verb), Send, Print, End) of
        ok -> ok;
        %% After a timeout nobody knows whether a call was carried out: it is not repeated here.
        Failure -> Print([<<"failed">>, Failure])
    end.

subjects(Verb) ->
    Prefix = os:getenv("SUBJECT_PREFIX", "beamline.registry"),
    Group = {<<"group">>, iolist_to_binary([Prefix, $., Verb])},
    case {os:getenv("INSTANCE_ID"), Verb} of
        {false, _} -> [Group];
        {_, <<"all.", _/binary>>} -> [Group];
        {Id, _} -> [{<<"local">>, iolist_to_binary([Prefix, ".local.", Id, $., Verb])}, Group]
    end.

round([], _, _, _) ->
    <<"no responders">>;
round([{Via, Subject} | Others], Send, Print, End) ->
    Inbox = <<"_INBOX.", (random())/binary>>,
    Replies = beamline_nats:subscribe(Inbox, <<>>),
    Outcome = case Send(Subject, Inbox) of
        ok -> take(Replies, fun(Words) -> Print([Via | Words]) end, End);
        {error, disconnected} -> <<"disconnected">>
    end,
    ok = beamline_nats:unsubscribe(Replies),
    case Outcome of
        nobody -> round(Others, Send, Print, End);
        _ -> Outcome
    end.

take(Replies, Print, End) ->
    receive
        %% Says the server, at once; so nothing was carried out.
        {nats, Replies, #{status := 503}} -> nobody;
        {nats, Replies, Reply = #{payload := Body}} ->
            Print([kind(Reply), Body]),
            case beamline_nats:header(<<"Beamline-Stream">>, Reply) of
                <<"chunk">> -> take(Replies, Print, End);
                _ -> ok
            end
    after max(0, End - erlang:monotonic_time(millisecond)) -> <<"timeout">>
    end.

%% Whose answer it is. An extension's own error says that the call was carried out.
kind(Reply) ->
    [Code, Own, Stream] = [beamline_nats:header(Name, Reply) || Name <-
        [<<"Nats-Service-Error-Code">>, <<"Beamline-Extension-Error">>, <<"Beamline-Stream">>]],
    case {Code, Own} of
        {undefined, _} when Stream =:= undefined -> <<"ok">>;
        {undefined, _} -> Stream;
        {_, undefined} -> [<<"registry ">>, Code];
        {_, _} -> [<<"extension ">>, Code]
    end.

%% Hard to guess: whoever knows the id of a call can cancel it.
random() ->
    {ok, Source} = file:open("/dev/urandom", [read, raw, binary]),
    {ok, Bytes} = file:read(Source, 8),
    ok = file:close(Source),
    binary:encode_hex(Bytes).
